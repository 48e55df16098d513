-- What happens while Debezium watches. Each statement is a transaction of its own.
INSERT INTO products VALUES
    ('P-3', 'Blue rain jacket', repeat('Keeps you dry. ', 400), 'Wetter', -0.01, 1234567890.123456789, 0, -1, 0, false,
     '{}', '{}', '{}', '1999-12-31', '1969-12-31 23:59:59.999', '2026-11-21 12:00:00.123456+00');
UPDATE products SET price = 69.90, stock = 11 WHERE id = 'P-1';
UPDATE products SET price = 119.00 WHERE id = 'P-3';
UPDATE products SET brand = NULL, tags = '{sale,NULL,shoes}' WHERE id = 'P-1';
UPDATE products SET id = 'P-4' WHERE id = 'P-2';
DELETE FROM products WHERE id = 'P-4';
UPDATE offers SET price = 4.50;
TRUNCATE offers;
BEGIN;
INSERT INTO products (id, title, price) VALUES ('P-5', 'Cap', 99999999.99);
UPDATE products SET title = 'Wool cap' WHERE id = 'P-5';
DELETE FROM products WHERE id = 'P-5';
COMMIT;
