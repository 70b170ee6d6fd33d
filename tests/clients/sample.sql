CREATE DATABASE src CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
USE src;
CREATE TABLE parent (id INT UNSIGNED NOT NULL AUTO_INCREMENT, name VARCHAR(50) NOT NULL DEFAULT 'it''s "x"', PRIMARY KEY (id), UNIQUE KEY un (name)) ENGINE=InnoDB AUTO_INCREMENT=41 DEFAULT CHARSET=utf8mb4 COMMENT='it''s a table';
CREATE TABLE types (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'the key',
  ti TINYINT DEFAULT -5, b1 TINYINT(1) NOT NULL DEFAULT 1, tu TINYINT UNSIGNED, si SMALLINT, mi MEDIUMINT, mu MEDIUMINT UNSIGNED DEFAULT 7, i INT, iu INT UNSIGNED, bi BIGINT, bu BIGINT UNSIGNED,
  z INT(6) UNSIGNED ZEROFILL, de DECIMAL(20,4) NOT NULL DEFAULT 1.5000, big DECIMAL(65,30), f FLOAT, d DOUBLE, bt BIT(9) DEFAULT b'101', bt1 BIT(1),
  c CHAR(10), vc VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL, tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT,
  bn BINARY(4), vb VARBINARY(20), tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB,
  da DATE DEFAULT '2020-01-02', dt DATETIME, dt6 DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), tm TIME, tm3 TIME(3), ts TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, ts6 TIMESTAMP(6) NULL DEFAULT NULL, y YEAR,
  e ENUM('a','it''s','c') NOT NULL DEFAULT 'a', s SET('x','y','z') DEFAULT 'x,z', j JSON, ex INT DEFAULT (1 + 2), l1 VARCHAR(10) CHARACTER SET latin1,
  KEY k1 (c, vc(20)), KEY k2 (tx(30)), UNIQUE KEY u1 (bi, si)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci COMMENT='all; of `them`';
CREATE TABLE child (id INT PRIMARY KEY, p INT UNSIGNED, KEY kp (p), CONSTRAINT fk1 FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE nopk (a INT, b VARCHAR(20), KEY ka (a));
CREATE TABLE `odd name;` (`sel``ect` INT PRIMARY KEY, `two words` TEXT);
CREATE TABLE `empty` (a INT);
INSERT INTO parent (id, name) VALUES (1, 'one'), (2, 'zwei ä 😀'), (40, '');
INSERT INTO types (ti, tu, si, mi, i, iu, bi, bu, z, de, big, f, d, bt, bt1, c, vc, tt, tx, mt, lt, bn, vb, tb, bl, mb, lb, dt, tm, tm3, ts6, y, e, s, j, l1) VALUES
 (-128, 255, -32768, -8388608, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 42, -1234567890123456.7891, 12345678901234567890123456789012345.123456789012345678901234567890, -1.5e10, 1.7976931348623157e308, b'111111111', b'1', 'ch', 'x\\y''z"\n\r\0\Z\t%_', 'tt', 'text; -- not a comment', 'mt', REPEAT('long ', 2000), 'ab', X'00FF27225C0A1A', X'FFFE', X'0001FF', 'mb', REPEAT(X'DEADBEEF', 500), '2024-02-29 23:59:59', '-838:59:59', '12:34:56.789', '2024-01-02 03:04:05.678901', 2155, 'it''s', 'y', '{"a": [1, 2.5, "x\\"y", null, true], "ü": {}}', 'é'),
 (NULL, NULL, 1, NULL, NULL, NULL, 1, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'c', NULL, NULL, NULL),
 (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', '', '', '', '', '', '', '', '', '', '1000-01-01', '00:00:00', '00:00:00', '1970-01-02 00:00:01', 1901, 'a', '', '[]', '');
INSERT INTO child VALUES (1, 1), (2, 40), (3, NULL);
INSERT INTO nopk VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
INSERT INTO `odd name;` VALUES (1, 'a;b'), (2, '/* x */');
CREATE VIEW v AS SELECT p.id, p.name, COUNT(c.id) AS children FROM parent p LEFT JOIN child c ON c.p = p.id GROUP BY p.id, p.name;
CREATE VIEW v2 AS SELECT id, UPPER(name) AS big FROM v WHERE children > 0;
CREATE VIEW `odd view` AS SELECT `sel``ect` AS `a b` FROM `odd name;` WHERE `two words` <> 'x;y';
