// node mysql2: text and prepared. Usage: script PORT
const mysql = require("mysql2/promise");
const mysql2 = require("mysql2");
const assert = require("assert");
(async () => {
  const port = Number(process.argv[2]);
  const admin = await mysql.createConnection({ host: "127.0.0.1", port, user: "root" });
  await admin.query("DROP DATABASE IF EXISTS c_node");
  await admin.query("CREATE DATABASE c_node");
  const pool = mysql.createPool({ host: "127.0.0.1", port, user: "root", database: "c_node", connectionLimit: 4 });
  await pool.query("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50), d DECIMAL(8,2), at DATETIME(3), n BIGINT)");
  const [r] = await pool.query("INSERT INTO t (s, d, at) VALUES (?, ?, ?)", ["it's", 1.5, new Date(2024, 0, 2, 3, 4, 5, 678)]);
  assert.strictEqual(r.insertId, 1);
  for (let i = 0; i < 5; i++) await pool.execute("INSERT INTO t (s, n) VALUES (?, ?)", ["p" + i, i]);
  const [rows, fields] = await pool.execute("SELECT id, s, d, at FROM t WHERE id = ?", [1]);
  assert.strictEqual(rows[0].s, "it's");
  assert.strictEqual(rows[0].d, "1.50");
  assert.strictEqual(rows[0].at.getMilliseconds(), 678);
  assert.strictEqual(fields.length, 4);
  const [sum] = await pool.execute("SELECT SUM(n) AS s, COUNT(*) AS c FROM t WHERE s LIKE ?", ["P%"]);
  assert.strictEqual(Number(sum[0].s), 10);
  assert.strictEqual(sum[0].c, 5);
  await Promise.all([...Array(50).keys()].map((i) => pool.execute("SELECT ? + 1 AS x", [i])));
  const c = await pool.getConnection();
  await c.beginTransaction();
  await c.query("DELETE FROM t");
  await c.rollback();
  c.release();
  const [[count]] = await pool.query("SELECT COUNT(*) AS c FROM t");
  assert.strictEqual(count.c, 6);
  await assert.rejects(pool.query("SELECT * FROM nosuch"), (e) => e.errno === 1146 && e.code === "ER_NO_SUCH_TABLE" && e.sqlState === "42S02");
  // Streaming, a changed user, a reset, TLS, compression, a password under the server's key.
  const stream = mysql2.createConnection({ host: "127.0.0.1", port, user: "root", database: "c_node" });
  let seen = 0;
  await new Promise((done, failed) => {
    stream.query("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 900) SELECT n, REPEAT('x', 500) AS pad FROM r")
      .stream({ highWaterMark: 5 }).on("data", () => seen++).on("end", done).on("error", failed);
  });
  assert.strictEqual(seen, 900);
  const plain = stream.promise();
  await plain.query("SET @x = 1");
  await plain.changeUser({ user: "root", database: "c_node" });
  assert.deepStrictEqual((await plain.query("SELECT @x AS x, DATABASE() AS d"))[0], [{ x: null, d: "c_node" }]);
  await plain.query("SET @x = 2");
  if (typeof plain.reset === "function") {
    await plain.reset();
    assert.deepStrictEqual((await plain.query("SELECT @x AS x"))[0], [{ x: null }]);
  }
  await plain.end();
  await admin.query("DROP USER IF EXISTS c_node");
  await admin.query("CREATE USER c_node IDENTIFIED BY 'secret'");
  for (const more of [{}, { ssl: { rejectUnauthorized: false } }, { compress: true }]) {
    const other = await mysql.createConnection({ host: "127.0.0.1", port, user: "c_node", password: "secret", ...more });
    const [[long]] = await other.execute("SELECT REPEAT('y', 300000) AS y, ? AS p", ["p"]);
    assert.strictEqual(long.y.length, 300000);
    await other.end();
  }
  await assert.rejects(mysql.createConnection({ host: "127.0.0.1", port, user: "c_node", password: "wrong" }), (e) => e.errno === 1045);
  await admin.query("DROP USER c_node");
  const multi = await mysql.createConnection({ host: "127.0.0.1", port, user: "root", multipleStatements: true });
  const [results] = await multi.query("SELECT 1 AS a; SELECT 2 AS b");
  assert.deepStrictEqual(results.map((r) => r[0]), [{ a: 1 }, { b: 2 }]);
  await multi.end();
  await pool.end();
  await admin.query("DROP DATABASE c_node");
  await admin.end();
  console.log("ok");
})().catch((e) => { console.error(e); process.exit(1); });
