-- One statement, over and over: `sysbench bench/statement.lua … --statement='SELECT …' run`. The client keeps its connection, so that only the statement is timed.

sysbench.cmdline.options = {
   statement = {"The statement", "SELECT 1"}
}

function thread_init()
   connection = sysbench.sql.driver():connect()
end

function event()
   connection:query(sysbench.opt.statement)
end

function thread_done()
   connection:disconnect()
end
