//! MySQL's words: which are keywords, and which of them are reserved.
//!
//! Owns:     the table of words.
//! Promises: the reserved words are exactly MySQL 8.0's; the others listed are those the parser asks about, and stay usable as names.
//! Never:    sees quoted names: those are never keywords.
//! See:      MySQL 8.0 Reference Manual, section 9.3.

macro_rules! keywords {
    (reserved: $($r:ident)* ; plain: $($p:ident)* ;) => {
        /// A keyword. Named as it is written; reserved ones come first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        pub enum Kw { NotOne, $($r,)* $($p,)* }
        const ALL: &[(Kw, &str)] = &[$((Kw::$r, stringify!($r)),)* $((Kw::$p, stringify!($p)),)*];
        const RESERVED: u16 = [$(stringify!($r)),*].len() as u16;
    };
}

keywords! {
    reserved:
    ACCESSIBLE ADD ALL ALTER ANALYZE AND AS ASC ASENSITIVE BEFORE BETWEEN BIGINT BINARY BLOB BOTH BY CALL CASCADE CASE CHANGE CHAR CHARACTER CHECK COLLATE COLUMN
    CONDITION CONSTRAINT CONTINUE CONVERT CREATE CROSS CUBE CUME_DIST CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATABASE DATABASES DAY_HOUR
    DAY_MICROSECOND DAY_MINUTE DAY_SECOND DEC DECIMAL DECLARE DEFAULT DELAYED DELETE DENSE_RANK DESC DESCRIBE DETERMINISTIC DISTINCT DISTINCTROW DIV DOUBLE DROP DUAL
    EACH ELSE ELSEIF EMPTY ENCLOSED ESCAPED EXCEPT EXISTS EXIT EXPLAIN FALSE FETCH FIRST_VALUE FLOAT FLOAT4 FLOAT8 FOR FORCE FOREIGN FROM FULLTEXT FUNCTION GENERATED
    GET GRANT GROUP GROUPING GROUPS HAVING HIGH_PRIORITY HOUR_MICROSECOND HOUR_MINUTE HOUR_SECOND IF IGNORE IN INDEX INFILE INNER INOUT INSENSITIVE INSERT INT INT1
    INT2 INT3 INT4 INT8 INTEGER INTERSECT INTERVAL INTO IO_AFTER_GTIDS IO_BEFORE_GTIDS IS ITERATE JOIN JSON_TABLE KEY KEYS KILL LAG LAST_VALUE LATERAL LEAD LEADING
    LEAVE LEFT LIKE LIMIT LINEAR LINES LOAD LOCALTIME LOCALTIMESTAMP LOCK LONG LONGBLOB LONGTEXT LOOP LOW_PRIORITY MASTER_BIND MASTER_SSL_VERIFY_SERVER_CERT MATCH
    MAXVALUE MEDIUMBLOB MEDIUMINT MEDIUMTEXT MIDDLEINT MINUTE_MICROSECOND MINUTE_SECOND MOD MODIFIES NATURAL NOT NO_WRITE_TO_BINLOG NTH_VALUE NTILE NULL NUMERIC OF
    ON OPTIMIZE OPTIMIZER_COSTS OPTION OPTIONALLY OR ORDER OUT OUTER OUTFILE OVER PARTITION PERCENT_RANK PRECISION PRIMARY PROCEDURE PURGE RANGE RANK READ READS
    READ_WRITE REAL RECURSIVE REFERENCES REGEXP RELEASE RENAME REPEAT REPLACE REQUIRE RESIGNAL RESTRICT RETURN REVOKE RIGHT RLIKE ROW ROWS ROW_NUMBER SCHEMA SCHEMAS
    SECOND_MICROSECOND SELECT SENSITIVE SEPARATOR SET SHOW SIGNAL SMALLINT SPATIAL SPECIFIC SQL SQLEXCEPTION SQLSTATE SQLWARNING SQL_BIG_RESULT SQL_CALC_FOUND_ROWS
    SQL_SMALL_RESULT SSL STARTING STORED STRAIGHT_JOIN SYSTEM TABLE TERMINATED THEN TINYBLOB TINYINT TINYTEXT TO TRAILING TRIGGER TRUE UNDO UNION UNIQUE UNLOCK
    UNSIGNED UPDATE USAGE USE USING UTC_DATE UTC_TIME UTC_TIMESTAMP VALUES VARBINARY VARCHAR VARCHARACTER VARYING VIRTUAL WHEN WHERE WHILE WINDOW WITH WRITE XOR
    YEAR_MONTH ZEROFILL;
    plain:
    ACCOUNT ACTION ADDDATE ADMIN AFTER AGAINST AGGREGATOR AGGREGATORS ALGORITHM ALWAYS ANY ARRAY ASCII ASYNC AT ATTACH ATTRIBUTE AUTHORS AUTOEXTEND_SIZE AUTO_INCREMENT AVG
    AVG_ROW_LENGTH BACKUP BEGIN BINLOG BIT BIT_AND BIT_OR BIT_XOR BOOL BOOLEAN BOOTSTRAP BTREE BYTE CACHE CASCADED CAST CHAIN CHANGED CHARSET CHECKSUM CLEAR CLIENT CLONE CLOSE CLUSTER
    CODE COLLATION COLUMNAR COLUMNS COLUMN_FORMAT COLUMNSTORE COMMENT COMMIT COMMITTED COMPACT COMPRESSED COMPRESSION CONCURRENT CONNECTION CONSISTENT CONTAINS COPY COUNT CURDATE CURRENT
    CURTIME DATA DATE DATETIME DATE_ADD DATE_SUB DAY DEALLOCATE DEFAULT_AUTH DEFINER DELAY_KEY_WRITE DESCRIPTION DETACH DIRECTORY DISABLE DISCARD DISK DO
    DUMPFILE DUPLICATE DURABILITY DYNAMIC ENABLE ENCRYPTION END ENFORCED ENGINE ENGINES ENGINE_ATTRIBUTE ENUM ERROR ERRORS ESCAPE EVENT EVENTS EXCHANGE EXCLUDE EXECUTE EXPANSION
    EXPIRE EXPORT EXTENDED EXTRACT FAST FAILED_LOGIN_ATTEMPTS FIELDS FILE FIRST FIXED FLUSH FOLLOWING FORMAT FULL FUNCTIONS GENERAL GEOMCOLLECTION GEOMETRY GEOMETRYCOLLECTION
    GET_FORMAT GLOBAL GRANTS GROUP_CONCAT HANDLER HASH HELP HISTOGRAM HISTORY HOST HOSTS HOUR IDENTIFIED IMPORT INDEXES INITIAL INSERT_METHOD INSTALL INSTANCE INVISIBLE INVOKER
    IO IPC ISOLATION ISSUER JSON JSON_ARRAYAGG JSON_OBJECTAGG JSON_VALUE KEY_BLOCK_SIZE LANGUAGE LAST LEAF LEAVES LESS LEVEL LINESTRING LIST LOCAL LOCKED LOGFILE LOGS
    MASTER MAX MAX_CONNECTIONS_PER_HOUR MAX_QUERIES_PER_HOUR MAX_ROWS MAX_UPDATES_PER_HOUR MAX_USER_CONNECTIONS MEDIUM MEMBER MEMORY MERGE MICROSECOND MID MIGRATE MIN
    MIN_ROWS MINUTE MODE MODIFY MONTH MULTILINESTRING MULTIPOINT MULTIPOLYGON MUTEX NAMES NATIONAL NCHAR NESTED NETWORK_NAMESPACE NEVER NEW NEXT NO NONE NOW NOWAIT NULLS NVARCHAR
    OFFSET OJ OLD ONE ONLINE ONLY OPEN OPTIONAL OPTIONS ORDINALITY ORGANIZATION ORPHAN OTHERS OWNER PACK_KEYS PARSER PARTIAL PARTITIONING PARTITIONS PASSWORD PASSWORD_LOCK_TIME PATH
    PERSIST PERSISTENT PERSIST_ONLY PHASE PLAN PLANCACHE PLUGIN PLUGINS POINT POLYGON PORT POSITION PRECEDING PREPARE PRESERVE PREV PRIVILEGES PRIVILEGE_CHECKS_USER PROCESSLIST
    PROFILE PROFILES PROMOTE PROXY QUARTER QUERY QUICK RANDOM READ_ONLY REBALANCE REBUILD RECOVER REDUNDANCY REDUNDANT REFERENCE RELAYLOG RELOAD REMOVE REORGANIZE REPAIR REPEATABLE REPLICA
    REPLICAS REPLICATE REPLICATION RESET RESOURCE RESPECT RESTART RESTORE RETAIN RETURNED RETURNING RETURNS REUSE ROLE ROLLBACK ROUND ROLLUP ROUTINE ROWSTORE ROW_FORMAT SAVEPOINT SCHEDULE SECOND
    SECONDARY_ENGINE SECONDARY_ENGINE_ATTRIBUTE SECONDARY_LOAD SECONDARY_UNLOAD SECURITY SERIAL SERIALIZABLE SERVER SESSION SHARD SHARE SHUTDOWN SIGNED SIMPLE SKIP SLAVE SLOW
    SNAPSHOT SOME SONAME SORT SOUNDS SOURCE SPARSE SQL_AFTER_GTIDS SQL_BUFFER_RESULT SQL_CACHE SQL_NO_CACHE SQL_THREAD SRID START STARTS STATS_AUTO_RECALC STATS_PERSISTENT STATS_SAMPLE_PAGES
    STATUS STD STDDEV STDDEV_POP STDDEV_SAMP STOP STORAGE STREAM ST_COLLECT SUBDATE SUBJECT SUBPARTITION SUBSTR SUBSTRING SUM SUPER SUSPEND SWITCHES SYNC SYSDATE SYSTEM_USER
    SESSION_USER TABLES TABLESPACE TABLE_CHECKSUM TEMPORARY TEMPTABLE TEXT THAN TIES TIME TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TRANSACTION TRIGGERS TRIM TRUNCATE TYPE TYPES
    UNBOUNDED UNCOMMITTED UNDEFINED UNDOFILE UNICODE UNINSTALL UNKNOWN UNTIL UPGRADE USER USER_RESOURCES VALIDATION VALUE VARIABLES VARIANCE VAR_POP VAR_SAMP VCPU VIEW VISIBLE WAIT
    WARNINGS WEEK WEIGHT_STRING WITHOUT WORK WRAPPER X509 XA XML YEAR ZONE;
}

impl Kw {
    /// The keyword `word` is, in any case; [`Kw::NotOne`] for all other words.
    pub fn of(word: &[u8]) -> Kw {
        if word.len() > LONGEST || word.len() < 2 {
            return Kw::NotOne;
        }
        let mut at = hash(word) & (SLOTS - 1);
        loop {
            let slot = TABLE[at];
            if slot == 0 {
                return Kw::NotOne;
            }
            let (kw, name) = ALL[slot as usize - 1];
            if name.len() == word.len() && name.as_bytes().eq_ignore_ascii_case(word) {
                return kw;
            }
            at = (at + 1) & (SLOTS - 1);
        }
    }

    /// May not stand as a name without quotes.
    pub fn is_reserved(self) -> bool {
        self as u16 != 0 && self as u16 <= RESERVED
    }

    /// In upper case; empty for [`Kw::NotOne`].
    pub fn name(self) -> &'static str {
        if self as u16 == 0 { "" } else { ALL[self as usize - 1].1 }
    }
}

/// Every keyword, and whether it is reserved.
pub fn keywords() -> impl Iterator<Item = (&'static str, bool)> {
    ALL.iter().map(|(kw, name)| (*name, kw.is_reserved()))
}

const SLOTS: usize = 2048;
const LONGEST: usize = 29;
/// Open addressing: 1 + position in `ALL`, 0 where empty.
static TABLE: [u16; SLOTS] = build();

const fn hash(word: &[u8]) -> usize {
    let mut h: u32 = word.len() as u32;
    let mut i = 0;
    while i < word.len() {
        // Clearing bit 5 makes both cases of a letter equal; what it does to digits and '_' does not matter.
        h = (h ^ (word[i] & 0xDF) as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    (h ^ (h >> 15)) as usize
}

const fn build() -> [u16; SLOTS] {
    let mut table = [0u16; SLOTS];
    let mut i = 0;
    while i < ALL.len() {
        assert!(ALL[i].1.len() <= LONGEST);
        let mut at = hash(ALL[i].1.as_bytes()) & (SLOTS - 1);
        while table[at] != 0 {
            at = (at + 1) & (SLOTS - 1);
        }
        table[at] = i as u16 + 1;
        i += 1;
    }
    table
}

/// The character sets MySQL 8.0 knows, which is what makes `_name` before a string an introducer and not a column.
pub(crate) fn is_charset(name: &[u8]) -> bool {
    const NAMES: &[&str] = &[
        "utf8mb4", "utf8", "utf8mb3", "binary", "latin1", "ascii", "ucs2", "utf16", "utf16le", "utf32", "big5", "dec8", "cp850", "hp8", "koi8r",
        "latin2", "swe7", "ujis", "sjis", "hebrew", "tis620", "euckr", "koi8u", "gb2312", "greek", "cp1250", "gbk", "latin5", "armscii8", "cp866",
        "keybcs2", "macce", "macroman", "cp852", "latin7", "cp1251", "cp1256", "cp1257", "geostd8", "cp932", "eucjpms", "gb18030",
    ];
    NAMES.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_in_any_case() {
        for (kw, name) in ALL {
            assert_eq!(Kw::of(name.as_bytes()), *kw);
            assert_eq!(Kw::of(name.to_lowercase().as_bytes()), *kw);
            assert_eq!(kw.name(), *name);
        }
        for word in ["", "a", "selec", "selects", "status2", "ident", "\u{e9}t\u{e9}"] {
            assert_eq!(Kw::of(word.as_bytes()), Kw::NotOne, "{word}");
        }
    }

    #[test]
    fn reservedness_follows_mysql_8() {
        for word in [
            "select",
            "rank",
            "system",
            "of",
            "lateral",
            "row",
            "rows",
            "groups",
            "key",
            "keys",
            "empty",
            "window",
            "usage",
            "zerofill",
            "accessible",
        ] {
            assert!(Kw::of(word.as_bytes()).is_reserved(), "{word}");
        }
        for word in [
            "status",
            "name",
            "type",
            "value",
            "date",
            "time",
            "timestamp",
            "year",
            "user",
            "role",
            "member",
            "offset",
            "begin",
            "end",
            "text",
            "shard",
            "any",
        ] {
            assert!(!Kw::of(word.as_bytes()).is_reserved(), "{word}");
        }
    }
}
