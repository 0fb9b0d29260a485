#!/usr/bin/python3
# subprocess, multiprocessing (fork), concurrent.futures, os.fork, signal, select: processes.
import concurrent.futures, ctypes, multiprocessing, os, select, signal, subprocess, sys, time

def square(x):
    return x * x

def produce(queue, count):
    for i in range(count):
        queue.put(i)
    queue.put(None)

def increment(value, lock, times):
    for _ in range(times):
        with lock:
            value.value += 1

def crash():
    os.kill(os.getpid(), signal.SIGKILL)

def main():
    print(subprocess.run(["echo", "from a child"], capture_output=True, text=True).stdout, end="")
    print(subprocess.check_output("seq 1 5 | tail -n 2", shell=True).split())
    done = subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('x' * 200000); sys.exit(3)"], capture_output=True)
    print(done.returncode, len(done.stderr))
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(len(cat.communicate(b"y" * 3000000)[0]), cat.returncode)
    try:
        subprocess.run(["sleep", "10"], timeout=0.1)
    except subprocess.TimeoutExpired:
        print("timeout")
    try:
        subprocess.run(["/nonexistent"])
    except FileNotFoundError as error:
        print("not found", error.errno)
    child = subprocess.Popen(["sleep", "10"], start_new_session=True, cwd="/", env={"A": "1"})
    child.terminate()
    print("terminated", child.wait())
    print(os.waitstatus_to_exitcode(os.system("exit 4")))

    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.write(write_end, b"through a pipe")
        os._exit(9)
    print(os.read(read_end, 100), os.waitstatus_to_exitcode(os.wait()[1]))
    poller = select.epoll()
    poller.register(read_end, select.EPOLLIN)
    print(poller.poll(0), select.select([read_end], [write_end], [], 0)[1] == [write_end])

    signal.signal(signal.SIGALRM, lambda number, frame: print("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(0.2)
    signal.signal(signal.SIGUSR1, lambda number, frame: print("usr1"))
    os.kill(os.getpid(), signal.SIGUSR1)
    print(signal.sigtimedwait([signal.SIGUSR2], 0.01))

    multiprocessing.set_start_method("fork")
    with multiprocessing.Pool(3) as pool:
        print(sum(pool.map(square, range(500))), pool.apply(square, (12,)))
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=produce, args=(queue, 200))
    process.start()
    print(sum(iter(queue.get, None)))
    process.join()
    value, lock = multiprocessing.Value(ctypes.c_long, 0, lock=False), multiprocessing.Lock()
    workers = [multiprocessing.Process(target=increment, args=(value, lock, 500)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(value.value, [worker.exitcode for worker in workers])
    crashing = multiprocessing.Process(target=crash)
    crashing.start()
    crashing.join()
    print("crashed with", crashing.exitcode)
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        worker = multiprocessing.Process(target=shared.update, args=({"from": "child"},))
        worker.start(); worker.join()
        print(dict(shared))
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print(list(executor.map(square, range(8))))
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.buf[:5] = b"hello"
    other = shared_memory.SharedMemory(memory.name)
    print(bytes(other.buf[:5]))
    other.close(); memory.close(); memory.unlink()
    barrier = multiprocessing.Barrier(2)
    worker = multiprocessing.Process(target=barrier.wait); worker.start(); barrier.wait(); worker.join()
    print("done", worker.exitcode)

if __name__ == "__main__":
    main()
