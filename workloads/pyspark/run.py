"""Spark Connect with a server of its own: SQL, frames, functions, an interrupt, threads."""

import concurrent.futures
import threading
import time

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType
from workload import say


def main():
    spark = SparkSession.builder.remote("local[2]").getOrCreate()
    say("sql", spark.sql("select 1 + 1 as two").collect())
    frame = spark.range(300_000).withColumn("half", F.col("id") / 2)
    say("sum", frame.agg(F.sum("half")).collect()[0][0])
    say("rows", len(frame.collect()))
    triple = F.udf(lambda number: number * 3, IntegerType())
    small = spark.range(5).withColumn("id", F.col("id").cast("int"))
    say("function", [row[0] for row in small.select(triple("id")).collect()])
    made = spark.createDataFrame([(1, "a"), (2, "b"), (3, "b")], ["number", "letter"])
    say("group", made.groupBy("letter").count().orderBy("letter").collect())
    try:
        spark.sql("select * from none").collect()
    except PySparkException as error:
        say("no table", "TABLE_OR_VIEW_NOT_FOUND" in str(error))

    def slow():
        wait = F.udf(lambda number: time.sleep(20) or number, IntegerType())
        try:
            spark.range(2).select(wait(F.col("id").cast("int"))).collect()
            return "not interrupted"
        except PySparkException as error:
            return "CANCELED" in str(error).upper() or "CANCELLED" in str(error).upper()

    interrupted = []
    thread = threading.Thread(target=lambda: interrupted.append(slow()))
    thread.start()
    while thread.is_alive() and not spark.interruptAll():
        time.sleep(0.5)
    thread.join(60)
    say("interrupted", interrupted)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        counts = pool.map(lambda number: spark.range(number * 1000).count(), range(1, 17))
        say("threads", list(counts))
    spark.stop()


main()
