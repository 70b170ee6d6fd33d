// MariaDB Connector/J against the server: statements as text and prepared, batches, cursors, metadata. Usage: java -cp JAR Jdbc.java PORT
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;

public class Jdbc {
    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    public static void main(String[] args) throws Exception {
        String base = "jdbc:mariadb://127.0.0.1:" + args[0] + "/";
        try (Connection admin = DriverManager.getConnection(base + "?user=root"); Statement s = admin.createStatement()) {
            s.execute("DROP DATABASE IF EXISTS c_jdbc");
            s.execute("CREATE DATABASE c_jdbc");
        }
        for (String more : List.of("", "&useServerPrepStmts=true", "&useServerPrepStmts=true&useCompression=true", "&rewriteBatchedStatements=true", "&useSSL=true&trustServerCertificate=true")) {
            try (Connection c = DriverManager.getConnection(base + "c_jdbc?user=root" + more)) {
                smoke(c);
            }
        }
        try (Connection admin = DriverManager.getConnection(base + "?user=root"); Statement s = admin.createStatement()) {
            s.execute("DROP DATABASE c_jdbc");
        }
        System.out.println("ok");
    }

    static void smoke(Connection c) throws Exception {
        try (Statement s = c.createStatement()) {
            s.execute("DROP TABLE IF EXISTS t");
            s.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(50) NOT NULL, d DECIMAL(10,2), at DATETIME(6), n BIGINT UNSIGNED, b BLOB, f DOUBLE, KEY ks (s))");
        }
        try (PreparedStatement p = c.prepareStatement("INSERT INTO t (s, d, at, n, b, f) VALUES (?, ?, ?, ?, ?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            p.setString(1, "it's \\ é 😀");
            p.setBigDecimal(2, new BigDecimal("12.50"));
            p.setTimestamp(3, Timestamp.valueOf("2024-01-02 03:04:05.678901"));
            p.setBigDecimal(4, new BigDecimal("18446744073709551615"));
            p.setBytes(5, new byte[] {0, -1, 39, 92});
            p.setNull(6, Types.DOUBLE);
            check(p.executeUpdate() == 1, "one row");
            ResultSet keys = p.getGeneratedKeys();
            check(keys.next() && keys.getInt(1) == 1, "the generated key");
        }
        try (PreparedStatement p = c.prepareStatement("SELECT s, d, at, n, b, f, id FROM t WHERE id = ?")) {
            p.setInt(1, 1);
            ResultSet r = p.executeQuery();
            check(r.next(), "a row");
            check(r.getString(1).equals("it's \\ é 😀"), r.getString(1));
            check(r.getBigDecimal(2).equals(new BigDecimal("12.50")), "the decimal");
            check(r.getTimestamp(3).equals(Timestamp.valueOf("2024-01-02 03:04:05.678901")), "the time " + r.getTimestamp(3));
            check(r.getBigDecimal(4).equals(new BigDecimal("18446744073709551615")), "the unsigned");
            check(Arrays.equals(r.getBytes(5), new byte[] {0, -1, 39, 92}), "the bytes");
            r.getDouble(6);
            check(r.wasNull(), "NULL");
            ResultSetMetaData m = r.getMetaData();
            check(m.isAutoIncrement(7) && m.getTableName(7).equals("t") && m.getColumnTypeName(2).startsWith("DECIMAL"), "the metadata");
        }
        c.setAutoCommit(false);
        try (PreparedStatement p = c.prepareStatement("INSERT INTO t (s, f) VALUES (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                p.setString(1, "row " + i);
                p.setDouble(2, i);
                p.addBatch();
            }
            check(p.executeBatch().length == 500, "a batch");
        }
        Savepoint here = c.setSavepoint();
        try (Statement s = c.createStatement()) {
            check(s.executeUpdate("DELETE FROM t") == 501, "deleted");
            c.rollback(here);
            c.commit();
            ResultSet r = s.executeQuery("SELECT COUNT(*), SUM(f), AVG(f) FROM t");
            check(r.next() && r.getLong(1) == 501 && r.getDouble(2) == 124750.0, "the sum");
            s.executeUpdate("DELETE FROM t WHERE f > 10");
            c.rollback();
        }
        c.setAutoCommit(true);
        c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        check(c.getTransactionIsolation() == Connection.TRANSACTION_READ_COMMITTED, "the isolation");
        try (PreparedStatement p = c.prepareStatement("SELECT id, s FROM t ORDER BY id")) {
            p.setFetchSize(7);
            ResultSet r = p.executeQuery();
            int n = 0;
            while (r.next()) n++;
            check(n == 501, "rows in steps: " + n);
        }
        try (Statement s = c.createStatement()) {
            s.executeQuery("SELECT * FROM nosuch");
            check(false, "no error");
        } catch (SQLException e) {
            check(e.getErrorCode() == 1146 && e.getSQLState().equals("42S02"), e.toString());
        }
        DatabaseMetaData d = c.getMetaData();
        check(d.getDatabaseProductVersion().startsWith("8.0"), d.getDatabaseProductVersion());
        check(names(d.getTables("c_jdbc", null, "%", null), "TABLE_NAME").equals(List.of("t")), "getTables");
        check(names(d.getColumns("c_jdbc", null, "t", "%"), "COLUMN_NAME").equals(List.of("id", "s", "d", "at", "n", "b", "f")), "getColumns");
        check(names(d.getPrimaryKeys("c_jdbc", null, "t"), "COLUMN_NAME").equals(List.of("id")), "getPrimaryKeys");
        check(names(d.getIndexInfo("c_jdbc", null, "t", false, true), "INDEX_NAME").equals(List.of("PRIMARY", "ks")), "getIndexInfo");
        check(names(d.getImportedKeys("c_jdbc", null, "t"), "FKCOLUMN_NAME").isEmpty(), "getImportedKeys");
        check(names(d.getCatalogs(), "TABLE_CAT").contains("c_jdbc"), "getCatalogs");
        check(c.isValid(5), "isValid");
    }

    static List<String> names(ResultSet r, String column) throws SQLException {
        List<String> all = new ArrayList<>();
        while (r.next()) all.add(r.getString(column));
        return all;
    }
}
