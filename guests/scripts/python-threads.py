#!/usr/bin/python3
# threading, queue, asyncio with subprocesses, sockets and signals, contextvars, timers.
import asyncio, concurrent.futures, os, queue, signal, socket, sys, tempfile, threading, time

counter, lock = 0, threading.Lock()

def count():
    global counter
    for _ in range(20000):
        with lock:
            counter += 1

threads = [threading.Thread(target=count) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(counter, threading.active_count())
work = queue.Queue(5)
results = []
def consume():
    while (item := work.get()) is not None:
        results.append(item * 2)
        work.task_done()
consumer = threading.Thread(target=consume); consumer.start()
for i in range(100): work.put(i)
work.join(); work.put(None); consumer.join()
print(sum(results))
event, barrier = threading.Event(), threading.Barrier(3)
waiters = [threading.Thread(target=lambda: (event.wait(), barrier.wait())) for _ in range(2)]
for waiter in waiters: waiter.start()
event.set(); barrier.wait()
for waiter in waiters: waiter.join()
print("event and barrier", event.wait(0.01))
timer = threading.Timer(0.05, lambda: print("timer")); timer.start(); timer.join()
local = threading.local(); local.x = 1
threading.Thread(target=lambda: print(hasattr(local, "x"))).start()
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(lambda x: x ** 2, range(100))))
semaphore = threading.Semaphore(0)
print("timed out" if not semaphore.acquire(timeout=0.05) else "acquired")

async def child():
    process = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate(b"async child\n")
    return output, process.returncode

async def serve(reader, writer):
    writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()

async def main():
    print(await asyncio.gather(*(asyncio.sleep(0.01 * i, i) for i in range(5))))
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError:
        print("async timeout")
    print(await child())
    folder = tempfile.TemporaryDirectory()
    server = await asyncio.start_unix_server(serve, folder.name + "/socket")
    reader, writer = await asyncio.open_unix_connection(folder.name + "/socket")
    writer.write(b"over a socket\n")
    print(await reader.readline())
    writer.close(); server.close(); await server.wait_closed(); folder.cleanup()
    loop = asyncio.get_running_loop()
    got = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, lambda: got.set_result("signal"))
    os.kill(os.getpid(), signal.SIGUSR1)
    print(await got, await loop.run_in_executor(None, lambda: 6 * 7))
    channel = asyncio.Queue()
    async def producer():
        for i in range(50): await channel.put(i)
    task = asyncio.create_task(producer())
    print(sum([await channel.get() for _ in range(50)])); await task
    try:
        async with asyncio.timeout(0.05): await asyncio.Event().wait()
    except TimeoutError:
        print("timeout block")

asyncio.run(main())
left, right = socket.socketpair()
left.sendall(b"z" * 100000); left.shutdown(socket.SHUT_WR)
print(len(right.makefile("rb").read()))
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    print("connected")
except OSError:
    print("no network")
start = time.monotonic(); time.sleep(0.02); print(time.monotonic() - start >= 0.02, sys.getswitchinterval())
