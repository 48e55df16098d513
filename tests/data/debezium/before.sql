-- What is in the shop before Debezium starts: its snapshot (op r).
CREATE USER cdc WITH REPLICATION LOGIN SUPERUSER PASSWORD 'cdc';
CREATE TABLE products (
    id text PRIMARY KEY,
    title text NOT NULL,
    description text,
    brand text,
    price numeric(10, 2),
    weight numeric,
    stock integer,
    ean bigint,
    rating double precision,
    active boolean,
    tags text[],
    sizes integer[],
    prices numeric(10, 2)[],
    released date,
    made_at timestamp(3),
    updated_at timestamptz
);
ALTER TABLE products ALTER COLUMN description SET STORAGE EXTERNAL;
CREATE TABLE offers (shop integer, sku text, price numeric(10, 2), PRIMARY KEY (shop, sku));
INSERT INTO products VALUES
    ('P-1', 'Red running shoe', 'Light, with a grippy sole.', 'Acme', 79.90, 0.285, 12, 4006381333931, 4.5, true,
     '{shoes,women}', '{38,39,40}', '{79.90,69.90}', '2026-03-01', '2026-02-03 04:05:06.789', '2026-03-01 09:30:00+02'),
    ('P-2', 'Gläser „Köln", 6 Stück 🥂', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO offers VALUES (7, 'A/1', 5.00);
