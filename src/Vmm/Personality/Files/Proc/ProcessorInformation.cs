using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Sandbox.Vmm.Personality.Files;

/// <summary>/proc/cpuinfo from the CPUID instruction, with the kernel's names of features (cpufeatures.h).</summary>
static class ProcessorInformation
{
    private readonly record struct FeatureWord(uint Leaf, uint SubLeaf, int Register, string?[] Names);

    private const int Eax = 0, Ebx = 1, Ecx = 2, Edx = 3;

    // In the order in which the kernel prints its capability words. Null: no name, or not for programs.
    private static readonly FeatureWord[] Features =
    [
        new(1, 0, Edx, Names(
            "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse "
            + "sse2 ss ht tm ia64 pbe")),
        new(0x80000001, 0, Edx, Names(
            "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow")),
        new(1, 0, Ecx, Names(
            "pni pclmulqdq dtes64 monitor ds_cpl - - est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 "
            + "x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor")),
        new(0x80000001, 0, Ecx, Names(
            "lahf_lm cmp_legacy - extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw - xop skinit wdt - lwp fma4 "
            + "tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx - -")),
        new(7, 0, Ebx, Names(
            "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx "
            + "smap avx512ifma - clflushopt clwb - avx512pf avx512er avx512cd sha_ni avx512bw avx512vl")),
        new(0xd, 1, Eax, Names("xsaveopt xsavec xgetbv1 xsaves - - - - - - - - - - - - - - - - - - - - - - - - - - - -")),
        new(7, 1, Eax, Names(
            "- - - - avx_vnni avx512_bf16 - - - - fzrm fsrs fsrc - - - - - - - - amx_fp16 - avx_ifma - - - - - - - -")),
        new(0x80000008, 0, Ebx, Names("clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - - - - - - - - - - - - - - - - - - - - -")),
        new(7, 0, Ecx, Names(
            "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme "
            + "avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd - -")),
        new(7, 0, Edx, Names(
            "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - "
            + "pconfig arch_lbr - - amx_bf16 avx512_fp16 amx_tile amx_int8 - - flush_l1d arch_capabilities - -")),
    ];

    private static string?[] Names(string names) =>
        Array.ConvertAll(names.Split(' '), static name => name == "-" ? null : name);

    private static readonly Lazy<byte[]> Common = new(Describe);

    public static byte[] Generate(int cpus)
    {
        if (!X86Base.IsSupported)
            return [];
        TextBuilder text = new();
        for (int i = 0; i < cpus; i++)
        {
            text.Add("processor\t: ").Add(i).Add('\n').Add(Common.Value)
                .Add("physical id\t: 0\nsiblings\t: ").Add(cpus).Add("\ncore id\t\t: ").Add(i)
                .Add("\ncpu cores\t: ").Add(cpus).Add("\napicid\t\t: ").Add(i).Add("\ninitial apicid\t: ").Add(i)
                .Add('\n').Add(Tail.Value).Add('\n');
        }
        return text.ToArray();
    }

    private static readonly Lazy<byte[]> Tail = new(DescribeFeatures);

    private static byte[] Describe()
    {
        uint[] zero = CpuId(0, 0);
        byte[] vendor = new byte[12];
        BitConverter.TryWriteBytes(vendor, zero[Ebx]);
        BitConverter.TryWriteBytes(vendor.AsSpan(4), zero[Edx]);
        BitConverter.TryWriteBytes(vendor.AsSpan(8), zero[Ecx]);
        uint signature = CpuId(1, 0)[Eax];
        uint family = (signature >> 8) & 0xf, model = (signature >> 4) & 0xf;
        if (family is 6 or 15)
            model |= (signature >> 12) & 0xf0;
        if (family == 15)
            family += (signature >> 20) & 0xff;

        TextBuilder text = new();
        text.Add("vendor_id\t: ").Add(vendor).Add("\ncpu family\t: ").Add(family).Add("\nmodel\t\t: ").Add(model)
            .Add("\nmodel name\t: ").Add(Brand()).Add("\nstepping\t: ").Add(signature & 0xf)
            .Add("\nmicrocode\t: 0xffffffff\n");
        // Processors without the frequency leaf do not tell; programs that parse the line find one all the same.
        uint megahertz = CpuId(0, 0)[Eax] >= 0x16 ? CpuId(0x16, 0)[Eax] : 0;
        text.Add("cpu MHz\t\t: ").Add(megahertz).Add(".000\n");
        uint cache = HasExtended(0x80000006) ? CpuId(0x80000006, 0)[Ecx] >> 16 : 0;
        return text.Add("cache size\t: ").Add(cache).Add(" KB\n").ToArray();
    }

    private static byte[] DescribeFeatures()
    {
        TextBuilder text = new();
        text.Add("fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: ").Add(CpuId(0, 0)[Eax]).Add("\nwp\t\t: yes\nflags\t\t:");
        foreach (FeatureWord word in Features)
        {
            if (!IsThere(word.Leaf))
                continue;
            uint bits = CpuId(word.Leaf, word.SubLeaf)[word.Register];
            for (int i = 0; i < word.Names.Length; i++)
            {
                if ((bits >> i & 1) != 0 && word.Names[i] is { } name)
                    text.Add(' ').Add(name);
            }
        }
        uint line = (CpuId(1, 0)[Ebx] >> 8 & 0xff) * 8;
        uint sizes = HasExtended(0x80000008) ? CpuId(0x80000008, 0)[Eax] : 0x3024;
        text.Add("\nbugs\t\t:\nbogomips\t: 0.00\nclflush size\t: ").Add(line).Add("\ncache_alignment\t: ").Add(line)
            .Add("\naddress sizes\t: ").Add(sizes & 0xff).Add(" bits physical, ").Add(sizes >> 8 & 0xff)
            .Add(" bits virtual\npower management:\n");
        return text.ToArray();
    }

    private static string Brand()
    {
        if (!HasExtended(0x80000004))
            return "unknown";
        Span<byte> brand = stackalloc byte[48];
        for (uint i = 0; i < 3; i++)
        {
            uint[] part = CpuId(0x80000002 + i, 0);
            for (int register = 0; register < 4; register++)
                BitConverter.TryWriteBytes(brand[(int)(i * 16 + register * 4)..], part[register]);
        }
        int end = brand.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? brand : brand[..end]).Trim();
    }

    private static bool IsThere(uint leaf) => leaf >= 0x80000000 ? HasExtended(leaf) : CpuId(0, 0)[Eax] >= leaf;

    private static bool HasExtended(uint leaf) => CpuId(0x80000000, 0)[Eax] >= leaf;

    private static uint[] CpuId(uint leaf, uint subLeaf)
    {
        (int eax, int ebx, int ecx, int edx) = X86Base.CpuId((int)leaf, (int)subLeaf);
        return [(uint)eax, (uint)ebx, (uint)ecx, (uint)edx];
    }
}
