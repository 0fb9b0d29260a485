using Sandbox.Host;
using Sandbox.Vmm.Devices;
using Sandbox.Vmm.Kvm;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Platforms.Kvm;
using Sandbox.Vmm.Tests.Virtio;
using static Sandbox.Host.KvmAbi;

namespace Sandbox.Vmm.Tests.Kvm;

/// <summary>
/// A virtual machine whose only code runs at CPL 3 and drives one device: it reads and writes registers, and RAM, by
/// machine code. Any kind of KVM runs it.
/// </summary>
sealed unsafe class UserModeDriver : IDisposable
{
    /// <summary>Where the code sees the device's registers.</summary>
    private const ulong RegistersVirtual = 0x4000_0000;

    private const ulong RegistersPhysical = 0xd000_0000;

    /// <summary>The end of low RAM, which is mapped where it is.</summary>
    private const ulong CodeAddress = TestRam.LowStart + 0xf_0000;

    /// <summary>A store here, behind the device's registers, is the end of the code.</summary>
    private const int EndOffset = 0xff0;

    /// <summary>Nothing is waited for longer than so many looks: some seconds.</summary>
    private const int Patience = 1 << 30;

    private const ulong Present = 1, Writable = 2, User = 4;

    private readonly KvmMachine _machine;
    private readonly KvmVcpu _vcpu;
    private readonly MemoryMapping _tables;
    private readonly TestRam _ram;
    private readonly IBusDevice _device;
    private readonly List<byte> _code = [];

    /// <param name="kvm">/dev/kvm; owned from now on.</param>
    public UserModeDriver(FileDescriptor kvm, TestRam ram, IBusDevice device)
    {
        _ram = ram;
        _device = device;
        _machine = new KvmMachine(kvm);
        _tables = MemoryMapping.Map(0x10000, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE);
        _machine.Vm.Add(new PhysicalAddress(0), _tables.Address, 0x10000);
        fixed (byte* low = &ram.At<byte>(TestRam.LowStart))
            _machine.Vm.Add(new PhysicalAddress(TestRam.LowStart), low, ram.BytesEach);
        BuildTables();
        _vcpu = _machine.Vm.CreateVcpu();
        _vcpu.SetCpuid(_machine.Model.Entries);
    }

    /// <summary>Exits that the device served.</summary>
    public long Exits { get; private set; }

    /// <summary>A store to a register: 1, 2, 4 or 8 bytes.</summary>
    public UserModeDriver Store(int offset, uint value, int bytes = 4)
    {
        ReadOnlySpan<byte> operation = bytes switch
        {
            1 => [0xc6, 0x87],
            2 => [0x66, 0xc7, 0x87],
            4 => [0xc7, 0x87],
            _ => [0x48, 0xc7, 0x87],
        };
        _code.AddRange(operation);
        _code.AddRange(BitConverter.GetBytes(offset));
        _code.AddRange(BitConverter.GetBytes(value).AsSpan(0, Math.Min(bytes, 4)));
        return this;
    }

    /// <summary>A load of 4 bytes from a register, which is put into RAM.</summary>
    public UserModeDriver Load(int offset, ulong result)
    {
        _code.AddRange([0x8b, 0x87, .. BitConverter.GetBytes(offset)]); // mov eax, [rdi + offset]
        _code.AddRange([0x89, 0x86, .. Distance(result)]); // mov [rsi + distance], eax
        return this;
    }

    /// <summary>Waits until 16 bits of RAM have a value, but not for ever.</summary>
    public UserModeDriver WaitFor(ulong address, ushort value)
    {
        _code.AddRange([0xba, .. BitConverter.GetBytes(Patience)]); // mov edx, patience
        _code.AddRange([0x66, 0x81, 0xbe, .. Distance(address), .. BitConverter.GetBytes(value)]); // 1: cmp
        _code.AddRange([0x74, 0x04]); // je 2f
        _code.AddRange([0xff, 0xca, 0x75, 0xf1]); // dec edx; jnz 1b; 2:
        return this;
    }

    /// <summary>
    /// Many times: makes one more chain available, notifies, and waits until it has returned. Every place of the
    /// available ring names the chain already.
    /// </summary>
    public UserModeDriver Repeat(int count, int notify, ulong availableIndex, ulong usedIndex)
    {
        _code.AddRange([0xb9, .. BitConverter.GetBytes(count)]); // mov ecx, count
        int start = _code.Count;
        _code.AddRange([0x66, 0xff, 0x86, .. Distance(availableIndex)]); // inc word [rsi + available]
        _code.AddRange([0x0f, 0xb7, 0x9e, .. Distance(availableIndex)]); // movzx ebx, word [rsi + available]
        Store(notify, 0);
        _code.AddRange([0xba, .. BitConverter.GetBytes(Patience)]); // mov edx, patience
        _code.AddRange([0x66, 0x39, 0x9e, .. Distance(usedIndex)]); // 1: cmp [rsi + used], bx
        _code.AddRange([0x74, 0x09]); // je 2f
        _code.AddRange([0xff, 0xca, 0x75, 0xf3]); // dec edx; jnz 1b
        _code.AddRange([0xb9, 1, 0, 0, 0]); // mov ecx, 1: no more; 2:
        _code.AddRange([0xff, 0xc9]); // dec ecx
        _code.AddRange([0x0f, 0x85, .. BitConverter.GetBytes(start - (_code.Count + 6))]); // jnz start
        return this;
    }

    /// <summary>Many stores to one register, for comparison.</summary>
    public UserModeDriver RepeatStore(int count, int offset)
    {
        _code.AddRange([0xb9, .. BitConverter.GetBytes(count)]);
        int start = _code.Count;
        Store(offset, 0);
        _code.AddRange([0xff, 0xc9]);
        _code.AddRange([0x0f, 0x85, .. BitConverter.GetBytes(start - (_code.Count + 6))]);
        return this;
    }

    /// <summary>Runs the code to its end.</summary>
    /// <exception cref="InvalidOperationException">The guest did something else.</exception>
    public void Run()
    {
        Store(EndOffset, 0);
        _code.ToArray().CopyTo(_ram.Bytes(CodeAddress, _code.Count));
        _code.Clear();
        SetRegisters();
        int result = _vcpu.Run();
        while (result == 0 || result == -Libc.EINTR)
        {
            ref kvm_run run = ref _vcpu.Shared;
            if (result == 0 && run.exit_reason != KVM_EXIT_MMIO)
                throw new InvalidOperationException(
                    $"exit {run.exit_reason}, rip 0x{_vcpu.Registers.rip:x}, suberror {run.@internal.suberror}");
            if (result == 0 && run.mmio.phys_addr == RegistersPhysical + EndOffset)
            {
                _vcpu.CompleteInstruction();
                return;
            }
            if (result == 0)
                Serve(ref run.mmio);
            result = _vcpu.RunOn();
        }
        throw new HostException(-result, "KVM_RUN");
    }

    private void Serve(ref kvm_run_mmio access)
    {
        Exits++;
        fixed (byte* data = access.data)
        {
            ulong offset = access.phys_addr - RegistersPhysical;
            if (access.is_write != 0)
                _device.Write(offset, new ReadOnlySpan<byte>(data, (int)access.len));
            else
                _device.Read(offset, new Span<byte>(data, (int)access.len));
        }
    }

    private byte[] Distance(ulong address) => BitConverter.GetBytes((int)(address - TestRam.LowStart));

    private void BuildTables()
    {
        ulong* tables = (ulong*)_tables.Address;
        tables[0x1000 / 8] = 0x2000 | Present | Writable | User;
        tables[0x2000 / 8] = 0x3000 | Present | Writable | User;
        tables[(0x2000 / 8) + 1] = 0x5000 | Present | Writable | User;
        tables[0x3000 / 8] = 0x4000 | Present | Writable | User;
        for (ulong page = TestRam.LowStart; page < TestRam.LowStart + _ram.BytesEach; page += Page.Size)
            tables[(0x4000 / 8) + (int)(page / Page.Size)] = page | Present | Writable | User;
        tables[0x5000 / 8] = 0x6000 | Present | Writable | User;
        tables[0x6000 / 8] = RegistersPhysical | Present | Writable | User;
    }

    private void SetRegisters()
    {
        kvm_segment code = new()
        {
            selector = Ring0Layout.UserCode, limit = 0xffff_ffff, type = 0xb, present = 1, dpl = 3, s = 1, l = 1, g = 1,
        };
        kvm_segment data = new()
        {
            selector = Ring0Layout.UserData, limit = 0xffff_ffff, type = 3, present = 1, dpl = 3, s = 1, db = 1, g = 1,
        };
        _vcpu.SetSpecialRegisters(new kvm_sregs
        {
            cs = code,
            ss = data,
            ds = data,
            es = data,
            fs = data,
            gs = data,
            tr = new() { @base = 0x8000, limit = 103, selector = Ring0Layout.TaskState, type = 0xb, present = 1 },
            ldt = new() { unusable = 1, type = 2 },
            cr0 = 0x8005_0033,
            cr3 = 0x1000,
            cr4 = _machine.Model.Cr4,
            efer = 0xd01,
            apic_base = 0xfee0_0900,
        });
        _vcpu.Registers = default;
        _vcpu.Registers.rip = CodeAddress;
        _vcpu.Registers.rsp = CodeAddress;
        _vcpu.Registers.rflags = 0x202;
        _vcpu.Registers.rdi = RegistersVirtual;
        _vcpu.Registers.rsi = TestRam.LowStart;
    }

    public void Dispose()
    {
        _vcpu.Dispose();
        _machine.Dispose();
        _tables.Dispose();
    }
}
