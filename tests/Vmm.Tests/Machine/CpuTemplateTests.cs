using System.Runtime.InteropServices;
using System.Text;
using Sandbox.Host;
using Sandbox.Vmm.Machine;
using Xunit;

namespace Sandbox.Vmm.Tests.Machine;

public class CpuTemplateTests
{
    /// <summary>A host that supports everything, and tells who it is.</summary>
    private static readonly kvm_cpuid_entry2[] s_everything =
    [
        .. new uint[]
            {
                0x0, 0x1, 0x2, 0x3, 0x5, 0x6, 0x9, 0xa, 0xf, 0x10, 0x12, 0x14, 0x15, 0x16, 0x17, 0x19, 0x1f, 0x4000_0000,
                0x4000_0001, 0x4000_0100, 0x8000_0000, 0x8000_0001, 0x8000_0002, 0x8000_0003, 0x8000_0004, 0x8000_0005,
                0x8000_0006, 0x8000_0007, 0x8000_0008, 0x8000_000a, 0x8000_001b, 0x8000_001e, 0x8000_001f, 0x8000_0021,
                0x8000_0022, 0xc000_0001,
            }
            .Select(function => new kvm_cpuid_entry2 { function = function, eax = ~0u, ebx = ~0u, ecx = ~0u, edx = ~0u }),
        .. new (uint Function, uint Index, uint Eax)[]
            {
                // Caches of levels 1 to 3, and the end of their list.
                (0x4, 0, 0x3c00_4021), (0x4, 1, 0x3c00_4043), (0x4, 2, 0x3c3f_c163), (0x4, 3, 0),
                (0x8000_001d, 0, 0x4021), (0x8000_001d, 1, 0x1fc163),
                (0x7, 0, 2), (0xb, 0, 1), (0xb, 1, 7), (0xd, 0, 7),
            }
            .Select(leaf => new kvm_cpuid_entry2
            {
                function = leaf.Function, index = leaf.Index, flags = 1, eax = leaf.Eax, ebx = ~0u, ecx = ~0u, edx = ~0u,
            }),
    ];

    private static kvm_cpuid_entry2 Leaf(uint function, uint index = 0, int cpu = 0, int cpus = 1) =>
        CpuTemplate.Build(s_everything, cpu, cpus, deadlineTimer: true)
            .Single(entry => entry.function == function && entry.index == index);

    [Fact]
    public void Nested_virtualization_is_not_offered()
    {
        Assert.Equal(0u, Leaf(0x1).ecx & (1 << 5));
        Assert.Equal(0u, Leaf(0x8000_0001).ecx & (1 << 2));
        Assert.DoesNotContain(CpuTemplate.Build(s_everything, 0, 1, true), entry => entry.function is 0x8000_000a or 0x8000_001f);
    }

    [Fact]
    public void Only_listed_leaves_are_shown_and_none_that_tells_who_the_host_is()
    {
        uint[] shown = [.. CpuTemplate.Build(s_everything, 0, 4, true).Select(entry => entry.function).Distinct().Order()];
        Assert.Equal(
            [
                0x0, 0x1, 0x2, 0x4, 0x6, 0x7, 0xb, 0xd, 0x4000_0000, 0x4000_0001, 0x8000_0000, 0x8000_0001, 0x8000_0002,
                0x8000_0003, 0x8000_0004, 0x8000_0005, 0x8000_0006, 0x8000_0007, 0x8000_0008, 0x8000_001d, 0x8000_001e,
                0x8000_0021,
            ],
            shown);
        Assert.Equal((0xdu, 0x8000_0021u), (Leaf(0).eax, Leaf(0x8000_0000).eax));
        uint[] brand = [.. ((uint[])[0x8000_0002, 0x8000_0003, 0x8000_0004]).Select(function => Leaf(function))
            .SelectMany(leaf => (uint[])[leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])];
        Assert.Equal("sandbox virtual CPU", Encoding.ASCII.GetString(MemoryMarshal.AsBytes(brand.AsSpan())).TrimEnd('\0'));
    }

    [Theory]
    [InlineData(1, 0, 1, 0)]
    [InlineData(2, 1, 2, 1)]
    [InlineData(3, 2, 4, 2)]
    [InlineData(16, 15, 16, 4)]
    public void Every_leaf_agrees_on_the_topology(int cpus, int cpu, int rounded, int bits)
    {
        kvm_cpuid_entry2 one = Leaf(0x1, 0, cpu, cpus);
        Assert.Equal(((uint)cpu, (uint)rounded), (one.ebx >> 24, one.ebx >> 16 & 0xff));
        Assert.Equal(cpus > 1, (one.edx & (1 << 28)) != 0);
        // Others share only the cache of the third level.
        Assert.Equal((0u, (uint)rounded - 1), (Leaf(0x4, 0, cpu, cpus).eax >> 14 & 0xfff, Leaf(0x4, 2, cpu, cpus).eax >> 14 & 0xfff));
        Assert.Equal((uint)rounded - 1, Leaf(0x4, 1, cpu, cpus).eax >> 26);
        Assert.Equal((0u, (uint)rounded - 1),
            (Leaf(0x8000_001d, 0, cpu, cpus).eax >> 14 & 0xfff, Leaf(0x8000_001d, 1, cpu, cpus).eax >> 14 & 0xfff));
        Assert.Equal((1u, (uint)cpu), (Leaf(0xb, 0, cpu, cpus).ebx, Leaf(0xb, 0, cpu, cpus).edx));
        kvm_cpuid_entry2 cores = Leaf(0xb, 1, cpu, cpus);
        Assert.Equal(((uint)bits, (uint)cpus, (uint)cpu), (cores.eax, cores.ebx, cores.edx));
        Assert.Equal((uint)bits << 12 | (uint)(cpus - 1), Leaf(0x8000_0008, 0, cpu, cpus).ecx);
        Assert.Equal(((uint)cpu, (uint)cpu), (Leaf(0x8000_001e, 0, cpu, cpus).eax, Leaf(0x8000_001e, 0, cpu, cpus).ebx));
    }

    [Fact]
    public void It_is_a_guest_of_KVM_with_clocks_and_ends_of_interrupts_and_nothing_else()
    {
        Assert.NotEqual(0u, Leaf(0x1).ecx & (1u << 31));
        Assert.Equal(0x0100_004bu, Leaf(0x4000_0001).eax);
        Assert.Equal((0x4000_0001u, 0x4b4d_564bu), (Leaf(0x4000_0000).eax, Leaf(0x4000_0000).ebx));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_deadline_timer_is_there_where_KVM_has_it(bool has) => Assert.Equal(has,
        (CpuTemplate.Build(s_everything, 0, 1, has).Single(entry => entry.function == 1).ecx & (1 << 24)) != 0);
}
