-- A shop in two tables that become one product, and what Debezium may read of it (docs/databases.md).
CREATE TABLE products (id text PRIMARY KEY, title text NOT NULL, brand text, stock integer);
CREATE TABLE prices (product_id text PRIMARY KEY, price numeric(10, 2) NOT NULL, currency char(3) NOT NULL);

INSERT INTO products VALUES
    ('BOOT-1', 'Waterproof trail boot', 'Everwear', 12),
    ('BOOT-2', 'Suede desert boot', 'Juniper Lane', 4),
    ('TENT-1', 'Two-person tent', 'Everwear', 7);
INSERT INTO prices VALUES ('BOOT-1', 89.50, 'EUR'), ('BOOT-2', 120.00, 'EUR'), ('TENT-1', 199.00, 'EUR');

CREATE ROLE cdc LOGIN REPLICATION PASSWORD 'cdc';
GRANT SELECT ON products, prices TO cdc;
CREATE PUBLICATION headrace FOR TABLE products, prices;
