using System.Diagnostics;
using Sandbox.Host;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms;
using Sandbox.Vmm.Platforms.Kvm;

// The platform alone, with an empty handler: what every system call of a guest pays at least.
// Prints name=nanoseconds lines.
const ulong code = 0x40_0000;
const int exits = 20_000;

long started = Stopwatch.GetTimestamp();
KvmPlatform platform = new(new KvmMachine(FileDescriptor.Open("/dev/kvm", Libc.O_RDWR)));
platform.Memory.Open(256 << 20);
AddressSpace memory = platform.Memory.CreateAddressSpace()!;
memory.Map(new VirtualAddress(code), Page.Size, Protection.All,
    Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_FIXED, null, 0);
memory.TryWrite(new VirtualAddress(code), [0x0f, 0x05, 0xeb, 0xfc]); // 1: syscall; jmp 1b
VirtualCpu cpu = platform.RentCpu();
cpu.Attach(memory);
cpu.ResetForExec();
cpu.Registers.Rip = code;
RunToSystemCall();
Console.WriteLine($"machine={Stopwatch.GetElapsedTime(started).TotalNanoseconds:f0}");

for (int i = 0; i < 1000; i++)
    RunToSystemCall();
long start = Stopwatch.GetTimestamp();
for (int i = 0; i < exits; i++)
    RunToSystemCall();
Console.WriteLine($"exit={Stopwatch.GetElapsedTime(start).TotalNanoseconds / exits:f1}");
platform.ReturnCpu(cpu);
memory.Release();
platform.Dispose();
return 0;

void RunToSystemCall()
{
    while (true)
    {
        GuestExit exit = cpu.Run();
        if (exit.Kind == GuestExitKind.SystemCall)
            return;
        if (exit.Kind != GuestExitKind.PageFault
            || memory.HandleFault(exit.FaultAddress, (exit.ErrorCode & 2) != 0, (exit.ErrorCode & 16) != 0) != FaultResult.Resolved)
            throw new InvalidOperationException($"{exit.Kind}: {cpu.FailureDetail}");
    }
}
