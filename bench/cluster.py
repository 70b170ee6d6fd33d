"""Weald as a cluster of processes beside one Weald process, MariaDB, and MariaDB Spider, on one machine. Started by `run.sh cluster`; see README.md for what is measured and how."""
import argparse, contextlib, os, random, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, traceback
from bench import HERE, MariaDb, Server, Weald, interleaved, keep, machine_now, median, oltp_once, sysbench, sysbench_raw, tpch_data, tpch_load, tpch_queries

TITLES = {"mariadb": "MariaDB", "spider": "Spider", "spider-kept": "Spider, kept connections", "before": "Weald before", "weald": "Weald, one process", "cluster": "Weald, cluster"}
PARTS = ["oltp", "start", "fixed", "groupby", "tpch", "restart"]
# Q1 reads every row of the largest table.
FULL_QUERY = tpch_queries()[0] + ";"


def free_ports(n):
    """The first of n that follow each other, as `weald dev` gives them to its nodes."""
    while True:
        first = random.randrange(20_000, 60_000 - n)
        with contextlib.ExitStack() as all_of_them:
            try:
                for port in range(first, first + n):
                    all_of_them.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return first
            except OSError:
                continue


def children(pid):
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        # One that ends meanwhile is no child any more. The second field after the name is the parent.
        with contextlib.suppress(OSError):
            if int(open(f"/proc/{other}/stat").read().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(other))
    return found


def runs(pid):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


class Cluster(Server):
    """`weald dev` with several processes; clients talk to the master."""

    def __init__(self, name, work, aggregators, leaves):
        super().__init__(name, work)
        self.aggregators, self.leaves, self.port = aggregators, leaves, free_ports(aggregators + leaves)
        self.whole = ("SELECT (SELECT COUNT(*) FROM information_schema.AGGREGATORS WHERE STATE = 'online'), (SELECT COUNT(*) FROM information_schema.LEAVES WHERE STATE = 'online')", f"{aggregators}\t{leaves}\n")

    def command(self):
        return [os.environ["WEALD_BIN"], "dev", "--aggregators", str(self.aggregators), "--leaves", str(self.leaves), "--data-dir", self.dir, "--mysql-port", str(self.port), "--http-port", "0"]

    def pids(self):
        return [self.process.pid, *children(self.process.pid)]

    def begin(self):
        """A start until all nodes are online."""
        return self.start(*self.whole)

    def stop(self, sig=signal.SIGTERM):
        if sig != signal.SIGKILL or not self.process or self.process.poll() is not None:
            return super().stop(sig)
        # All at once, as when the machine loses power. The one above the nodes is halted first: it buries none of them, so that no number is used for another process.
        self.process.send_signal(signal.SIGSTOP)
        nodes = children(self.process.pid)
        for pid in [*nodes, self.process.pid]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while any(runs(pid) for pid in nodes):
            time.sleep(0.005)


class Shards:
    """What lies behind Spider: MariaDB servers with a part of the rows each, and a table of every name."""

    def __init__(self, work, options, count=2):
        self.servers = [MariaDb(f"shard-{n}", work, options.pool, options.innodb_log) for n in range(1, count + 1)]

    def start(self):
        for s in self.servers:
            s.start()
            s.sql("CREATE USER spider@127.0.0.1 IDENTIFIED BY 'spider'; GRANT ALL ON *.* TO spider@127.0.0.1")


class Spider(MariaDb):
    """The server in front. Its processor time is that of the shards, too."""

    def __init__(self, name, work, options, shards, settings=()):
        super().__init__(name, work, options.pool, options.innodb_log)
        self.shards, self.settings = shards, settings

    def command(self):
        return [*super().command(), "--plugin-load-add=ha_spider.so", *self.settings]

    def pids(self):
        return [self.process.pid, *(s.process.pid for s in self.shards.servers)]

    def start(self, *probe):
        took = super().start(*probe)
        if "SPIDER" not in self.sql("SHOW ENGINES"):
            sys.exit("this MariaDB has no Spider: install the Debian package mariadb-plugin-spider, or leave spider out of --beside")
        for n, s in enumerate(self.shards.servers, 1):
            self.sql(f"CREATE SERVER shard{n} FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', PORT {s.port}, USER 'spider', PASSWORD 'spider', DATABASE 'sbtest')")
        return took

    def table(self, n):
        parts = ", ".join(f"PARTITION p{i} COMMENT = 'srv \"shard{i}\"'" for i in range(1, len(self.shards.servers) + 1))
        return (f"CREATE TABLE sbtest.sbtest{n} (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_{n} (k)) "
                f"ENGINE = SPIDER COMMENT = 'wrapper \"mysql\", table \"sbtest{n}\"' PARTITION BY HASH (id) ({parts});")


def prepare(servers, options):
    """sysbench's tables in all of them. Spider's cannot be made by sysbench; its rows are those of a table that sysbench made and are stored through Spider."""
    made = set()
    for s in servers:
        s.sql("CREATE DATABASE sbtest")
        if not isinstance(s, Spider):
            sysbench(s, "oltp_read_write", options, min(4, options.tables), 1, "auto", "prepare")
            continue
        is_filled, numbers = id(s.shards) in made, range(1, options.tables + 1)
        if not is_filled:
            made.add(id(s.shards))
            for shard in s.shards.servers:
                shard.sql("CREATE DATABASE sbtest")
                sysbench_raw(shard, "oltp_read_write", "sbtest", 1, 1, [f"--tables={options.tables}", "--table-size=0"], "prepare")
            sysbench(s, "oltp_read_write", options, 1, 1, "auto", "prepare")
            s.sql("CREATE DATABASE stage;" + "".join(f"RENAME TABLE sbtest.sbtest{n} TO stage.sbtest{n};" for n in numbers))
        s.sql("".join(s.table(n) + ("" if is_filled else f"INSERT INTO sbtest.sbtest{n} SELECT * FROM stage.sbtest{n};") for n in numbers) + ("" if is_filled else "DROP DATABASE stage;"))
    for s in servers:
        rows = [int(s.sql(f"SELECT COUNT(*) FROM sbtest{n}", "sbtest")) for n in range(1, options.tables + 1)]
        if rows != [options.rows] * options.tables:
            raise RuntimeError(f"{s.name} has {rows} rows")


@contextlib.contextmanager
def running(servers):
    """They and their data are gone afterwards, whatever happens: the disk holds one part at a time."""
    flat = [x for s in servers for x in (s.servers if isinstance(s, Shards) else [s])]
    try:
        for s in servers:
            s.begin() if isinstance(s, Cluster) else s.start()
        yield
    finally:
        for s in reversed(flat):
            s.stop()
            shutil.rmtree(s.dir, ignore_errors=True)


class Report:
    """Markdown as it comes, the raw numbers, and what the goals are for."""

    def __init__(self, results):
        self.results, self.goals = results, []

    def table(self, title, *heads):
        print(f"\n## {title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)

    def row(self, *cells):
        print(f"| {' | '.join('' if c is None else c for c in cells)} |", flush=True)

    def goal(self, measure, value, floor, aim, unit):
        """A goal that is a ceiling has its aim below its floor."""
        if value is None:
            verdict = "not measured"
        else:
            better = (lambda bound: value <= bound) if aim < floor else (lambda bound: value >= bound)
            verdict = "aim" if better(aim) else "floor" if better(floor) else "short of it"
        self.goals.append({"measure": measure, "value": value, "floor": floor, "aim": aim, "unit": unit, "verdict": verdict})

    def summary(self):
        self.results["goals"] = self.goals
        self.table("The goals", "measure", "floor", "aim", "measured", "reached")
        for g in self.goals:
            n = lambda x: "" if x is None else f"{x:,.3f}".rstrip("0").rstrip(".") + g["unit"]
            self.row(g["measure"], n(g["floor"]), n(g["aim"]), n(g["value"]), g["verdict"])


def mid(runs, name, key):
    return median(runs[name], key) if runs.get(name) else None


def ratio(a, b):
    return a / b if a is not None and b else None


def show(x, form=",.0f", unit=""):
    return "failed" if x is None else f"{x:{form}}{unit}"


def oltp(options, report, work):
    beside, shards = options.beside, Shards(work, options) if {"spider", "spider-kept"} & set(options.beside) else None
    servers = [MariaDb("mariadb", work, options.pool, options.innodb_log)] if "mariadb" in beside else []
    servers += [Spider("spider", work, options, shards)] if "spider" in beside else []
    servers += [Spider("spider-kept", work, options, shards, ["--spider-conn-recycle-mode=1"])] if "spider-kept" in beside else []
    servers += [Weald("before", work, options.before)] if options.before else []
    servers += [Weald("weald", work)] if "weald" in beside or options.before else []
    servers += [Cluster("cluster", work, *options.layout)]
    others = [s.name for s in servers[:-1]]
    a, l = options.layout
    with running(([shards] if shards else []) + servers):
        prepare(servers, options)
        report.table(f"sysbench, cluster of {a} + {l}", "test", "threads", "protocol", "measure", *(TITLES[s.name] for s in servers), *(f"cluster : {TITLES[n]}" for n in others))
        for test in options.tests:
            for protocol in options.protocols:
                for threads in options.threads:
                    mode = {"prepared": "auto", "text": "disable"}[protocol]
                    got = interleaved(servers, options.repeat, lambda s: oltp_once(s, test, options, threads, mode), f"{test} {threads}")
                    report.results["oltp"].append({"test": test, "protocol": protocol, "threads": threads, "runs": got})
                    per_s, key = ("queries/s", "qps") if test == "oltp_point_select" else ("transactions/s", "tps")
                    for what, key, form in (("server CPU µs/query", "cpu_us", ",.1f"), (per_s, key, ",.0f"), ("p95 ms", "p95_ms", ",.2f")):
                        ours = mid(got, "cluster", key)
                        against = {n: ratio(ours, mid(got, n, key)) for n in others}
                        report.row(test, str(threads), protocol, what, *(show(mid(got, s.name, key), form) for s in servers), *(show(against[n], ".2f") for n in others))
                        goals = {"oltp_point_select": (10, 15, 0.8, 1.1), "oltp_read_write": (8, 15, 0.7, 1.2), "oltp_write_only": (8, 15, 0.7, 1.2)}.get(test)
                        where = f"{test}, {threads} threads" + (", text" if protocol == "text" else "")
                        if key == "cpu_us" and test == "oltp_point_select":
                            report.goal(f"{where}: server CPU per query", ours, 60, 35, " µs")
                        if key == "cpu_us" and options.before:
                            report.goal(f"{where}: CPU per query of one process, now : before", ratio(mid(got, "weald", key), mid(got, "before", key)), 1.03, 1, "×")
                        if key in ("qps", "tps") and goals:
                            if "spider" in others:
                                report.goal(f"{where}: {what} against Spider", against["spider"], *goals[:2], "×")
                            if "mariadb" in others:
                                report.goal(f"{where}: {what} against MariaDB", against["mariadb"], *goals[2:], "×")


def start(options, report, work):
    """From nothing: the directory does not exist."""
    got, (a, l) = [], options.start_layout
    for n in range(options.repeat):
        c = Cluster(f"start-{n}", work, a, l)
        try:
            c.launch()
            took = {"SELECT 1": c.answers("SELECT 1"), "every node online": c.answers(*c.whole)}
            c.sql("CREATE DATABASE first PARTITIONS 8; CREATE TABLE first.t (id INT PRIMARY KEY); INSERT INTO first.t VALUES " + ", ".join(f"({i})" for i in range(64)))
            took["64 rows written to 8 partitions and read"] = c.answers("SELECT COUNT(*) FROM first.t", "64\n")
            got.append(took)
        finally:
            c.stop()
            shutil.rmtree(c.dir, ignore_errors=True)
    report.results["start"] = got
    report.table(f"From nothing, {a} aggregators and {l} leaves", "until", "median s", "all")
    for step in got[0]:
        report.row(step, show(median(got, step), ".2f"), ", ".join(f"{g[step]:.2f}" for g in got))
    report.goal(f"{a} aggregators, {l} leaves: from nothing to rows written and read", median(got, "64 rows written to 8 partitions and read"), 3, 1, " s")


def statement(server, database, text, seconds=None, events=None):
    """What the statement takes on a connection that is there already: for so many seconds, or so many times."""
    before = server.cpu()
    limits = [f"--statement={text}", "--db-ps-mode=disable", *([f"--events={events}"] if events else [])]
    out = sysbench_raw(server, str(HERE / "statement.lua"), database, 1, 0 if events else seconds, limits, percentile=50)
    cpu = server.cpu() - before
    number = lambda label: float(re.search(label + r":\s+([\d.]+)", out).group(1))
    n = int(number("total number of events"))
    return {"median_ms": number("50th percentile"), "min_ms": number("min"), "mean_ms": number("avg"), "cpu_ms": cpu / max(n, 1) * 1e3, "times": n}


GROUP_BY = "SELECT g, COUNT(*), SUM(v) FROM facts GROUP BY g"


def grouped(s, rows):
    """The answer is checked: a fast wrong one is none."""
    expected = {}
    for i in range(rows):
        count, total = expected.get(i % 100, (0, 0))
        expected[i % 100] = (count + 1, total + i % 997)
    answer = {int(g): (int(n), int(v)) for g, n, v in (line.split("\t") for line in s.sql(GROUP_BY, "facts").splitlines())}
    if answer != expected:
        raise RuntimeError(f"{s.name} answers {GROUP_BY} wrongly")


def load_facts(servers, rows, work, piece=500_000):
    for s in servers:
        s.sql(f"CREATE DATABASE facts{'' if isinstance(s, MariaDb) else ' PARTITIONS 8'}; CREATE TABLE facts.facts (id BIGINT PRIMARY KEY, g INT NOT NULL, v BIGINT NOT NULL)")
    path = os.path.join(work, "facts.tsv")
    for first in range(0, rows, piece):
        with open(path, "w") as f:
            f.writelines(f"{i}\t{i % 100}\t{i % 997}\n" for i in range(first, min(first + piece, rows)))
        for s in servers:
            s.sql(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE facts", "facts", extra=["--local-infile=1"])
    os.remove(path)
    for s in servers:
        grouped(s, rows)


def fixed(options, report, work):
    """What a query costs besides its rows."""
    servers = [MariaDb("mariadb", work, options.pool, options.innodb_log)] if "mariadb" in options.beside else []
    measure_statement(servers, options, report, work, "fixed", 1_000)


def groupby(options, report, work):
    measure_statement([], options, report, work, "groupby", options.group_rows)


def measure_statement(servers, options, report, work, part, rows):
    servers = [*servers, Weald("weald", work), Cluster("cluster", work, *options.layout)]
    a, l = options.layout
    with running(servers):
        load_facts(servers, rows, work)
        got = interleaved(servers, options.repeat, lambda s: statement(s, "facts", GROUP_BY, options.seconds), part)
    report.results[part] = {"rows": rows, "runs": got}
    report.table(f"{GROUP_BY}: {rows:,} rows, 8 partitions, cluster of {a} + {l}", "", *(TITLES[s.name] for s in servers), "cluster : one process")
    for what, key in (("median ms", "median_ms"), ("least ms", "min_ms"), ("server CPU ms/query", "cpu_ms")):
        report.row(what, *(show(mid(got, s.name, key), ",.2f") for s in servers), show(ratio(mid(got, "cluster", key), mid(got, "weald", key)), ".2f"))
    if part == "fixed":
        report.goal("fixed cost of a distributed query, 1,000 rows, 8 partitions: median", mid(got, "cluster", "median_ms"), 5, 2, " ms")
    else:
        report.goal(f"GROUP BY over {rows:,} rows, cluster : one process", ratio(mid(got, "cluster", "median_ms"), mid(got, "weald", "median_ms")), 1.15, 1, "×")


def tpch(options, report, work):
    data = tpch_data(work, options.scale)
    servers = [Weald("weald", work), Cluster("cluster", work, *options.layout)]
    a, l = options.layout
    kept = report.results["tpch"] = {"scale": options.scale, "load_s": {}, "query_ms": {s.name: [] for s in servers}, "answers": {s.name: [] for s in servers}}
    with running(servers):
        report.table(f"TPC-H, scale factor {options.scale}, cluster of {a} + {l}", "", "Weald, one process", "Weald, cluster", "cluster : one process")
        loads = kept["load_s"] = {s.name: tpch_load(s, data) for s in servers}
        report.row(f"LOAD DATA lineitem ({servers[0].lines:,} rows), s", show(loads["weald"], ".2f"), show(loads["cluster"], ".2f"), show(ratio(loads["cluster"], loads["weald"]), ".2f"))
        if servers[0].lines != servers[1].lines:
            raise RuntimeError(f"the cluster has {servers[1].lines:,} rows")
        for n, q in enumerate(tpch_queries(), 1):
            for s in servers if n % 2 else servers[::-1]:
                answer = best = None
                try:
                    # The first run warms both up and gives the answer; those that count are timed without the start of a client.
                    answer = s.sql(q + ";", "tpch", timeout=options.tpch_timeout)
                    best = statement(s, "tpch", q, events=options.tpch_repeat)["min_ms"]
                except (RuntimeError, subprocess.TimeoutExpired) as e:
                    print(f"<!-- {s.name} Q{n}: {e} -->", flush=True)
                kept["answers"][s.name].append(answer)
                kept["query_ms"][s.name].append(best)
            one, many = (kept["query_ms"][s.name][-1] for s in servers)
            same = kept["answers"]["weald"][-1] == kept["answers"]["cluster"][-1]
            report.row(f"Q{n}, ms{'' if same else ' (answers differ)'}", show(one, ",.2f"), show(many, ",.2f"), show(ratio(many, one), ".2f"))
    both = [(a, b) for a, b, x, y in zip(*kept["query_ms"].values(), *kept["answers"].values()) if a and b and x == y]
    mean = statistics.geometric_mean(b / a for a, b in both) if both else None
    report.row(f"geometric mean of the {len(both)} with equal answers", *(show(statistics.geometric_mean(x) if both else None, ",.2f") for x in zip(*both)), show(mean, ".2f"))
    report.goal(f"TPC-H, scale {options.scale}: geometric mean, cluster : one process", mean if len(both) == 22 else None, 1.5, 1.1, "×")


def restart(options, report, work):
    """All processes gone, then started together, until a query of every row has the answer that it had before. What the kernel holds of the files it keeps."""
    data = tpch_data(work, options.scale)
    a, l = options.restart_layout
    servers, got = [Weald("weald", work), Cluster("cluster", work, a, l)], {}
    with running(servers):
        report.table(f"Restart with TPC-H, scale factor {options.scale}, cluster of {a} + {l}: seconds until Q1 is answered", "ended by", "Weald, one process", "Weald, cluster", "cluster : one process")
        for s in servers:
            tpch_load(s, data)
        before = {s.name: s.sql(FULL_QUERY, "tpch") for s in servers}

        def once(s):
            s.stop(sig)
            return {"s": s.start("USE tpch; " + FULL_QUERY, before[s.name])}

        for sig in (signal.SIGTERM, signal.SIGKILL):
            name = sig.name
            got[name] = interleaved(servers, options.repeat, once, f"restart after {name}")
            one, many = (mid(got[name], s.name, "s") for s in servers)
            report.row(name, show(one, ".2f"), show(many, ".2f"), show(ratio(many, one), ".2f"))
            report.goal(f"restart after {name}, TPC-H scale {options.scale}, {a} + {l} nodes : one process", ratio(many, one), 1.3, 1, "×")
    report.results["restart"] = {"scale": options.scale, "runs": got}


def main():
    numbers = lambda s: [int(n) for n in s.split(",")]
    words = lambda allowed: lambda s: [w if w in allowed else sys.exit(f"{w}: it must be of {', '.join(allowed)}") for w in s.split(",")]
    p = argparse.ArgumentParser(prog="run.sh cluster", description=__doc__)
    p.add_argument("--only", type=words(PARTS), default=PARTS, help="parts: " + ",".join(PARTS))
    p.add_argument("--beside", type=words(["mariadb", "spider", "spider-kept", "weald"]), default=["mariadb", "spider", "spider-kept", "weald"], help="what sysbench meets besides the cluster: mariadb,spider,spider-kept,weald")
    p.add_argument("--before", metavar="BIN", help="another weald binary, as one process beside the others: what has become of the single node")
    p.add_argument("--seconds", type=int, default=10, help="of each sysbench run")
    p.add_argument("--repeat", type=int, default=3, help="runs of each, interleaved; the median counts")
    p.add_argument("--tests", type=lambda s: s.split(","), default=["oltp_point_select", "oltp_read_write", "oltp_write_only"])
    p.add_argument("--threads", type=numbers, default=[16, 64])
    p.add_argument("--protocols", type=words(["prepared", "text"]), default=["prepared"], help="prepared,text")
    p.add_argument("--tables", type=int, default=4)
    p.add_argument("--rows", type=int, default=100_000, help="a sysbench table")
    p.add_argument("--group-rows", type=int, default=6_000_000, help="of the table that is grouped")
    p.add_argument("--scale", type=float, default=1, help="TPC-H scale factor")
    p.add_argument("--tpch-repeat", type=int, default=3, help="runs of each query besides the first; the best counts")
    p.add_argument("--tpch-timeout", type=int, default=120, help="seconds for one query")
    p.add_argument("--layout", type=numbers, default=[1, 2], metavar="A,L", help="aggregators and leaves of the cluster")
    p.add_argument("--start-layout", type=numbers, default=[2, 2], metavar="A,L", help="… of the one that starts from nothing")
    p.add_argument("--restart-layout", type=numbers, default=[2, 3], metavar="A,L", help="… of the one that starts again with data")
    p.add_argument("--pool", default="4G", help="the buffer pool of each MariaDB; must be larger than the data")
    p.add_argument("--innodb-log", default="256M", help="the log file of each MariaDB; four of them are on the disk at once")
    p.add_argument("--quick", action="store_true", help="unless said otherwise: 2 s, one run each, 10,000 rows a sysbench table, 100,000 grouped, scale 0.01")
    if p.parse_args().quick:
        p.set_defaults(seconds=2, repeat=1, rows=10_000, group_rows=100_000, scale=0.01)
    options = p.parse_args()
    # So that what was started is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    work = tempfile.mkdtemp(prefix="weald-bench-")
    results = {"machine": machine_now(), "options": vars(options), "oltp": [], "failed": {}}
    results["weald"] = {b: subprocess.run([b, "--version"], capture_output=True, text=True).stdout.strip() for b in (os.environ["WEALD_BIN"], options.before) if b}
    print("".join(f"\n{version}: {b}" for b, version in results["weald"].items()))
    report = Report(results)
    try:
        for part in options.only:
            try:
                {"oltp": oltp, "start": start, "fixed": fixed, "groupby": groupby, "tpch": tpch, "restart": restart}[part](options, report, work)
            except SystemExit as e:
                if isinstance(e.code, int):
                    raise
                results["failed"][part] = e.code
            except Exception:
                results["failed"][part] = traceback.format_exc()
            if part in results["failed"]:
                print(f"\n{part} failed: {results['failed'][part]}", flush=True)
        report.summary()
    finally:
        keep(results, "-cluster")
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if results["failed"] else 0)


if __name__ == "__main__":
    main()
