using System.Text;
using Sandbox.Supervisor;
using Sandbox.Supervisor.Machine;

namespace Sandbox.Fuzz.Targets;

/// <summary>
/// A module of a kernel as a package has it, which the supervisor unpacks and asks what it depends on. What is plain is
/// taken as it is; what is refused is refused in a line.
/// </summary>
/// <remarks>Input: how it is compressed (1); then the file.</remarks>
sealed class ModuleTarget : FuzzTarget
{
    private static readonly string[] s_names = ["module.ko", "module.ko.xz", "module.ko.zst"];

    public override string Name => "module";

    public override string Summary => "modules of kernels, plain and compressed";

    public override int MaximumLength => 16 * 1024;

    // A window as long as what is unpacked, which doubles as it grows; none as long as the file says.
    public override long AllocationLimit => 8L * ModuleFile.MaximumBytes;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
        [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 1], [0x28, 0xb5, 0x2f, 0xfd], [0x21, 1, 0x16], "\0depends="u8.ToArray(), "YZ"u8.ToArray()];

    public override bool Run(ReadOnlySpan<byte> input)
    {
        if (input.IsEmpty)
            return false;
        string name = s_names[input[0] % s_names.Length];
        byte[] stored = input[1..].ToArray();
        byte[] content;
        try
        {
            content = ModuleFile.Unpack(new MemoryStream(stored), name);
        }
        catch (UsageException failure)
        {
            OracleException.Check(!failure.Message.Any(char.IsControl), "a refusal of several lines");
            return false;
        }
        OracleException.Check(content.Length <= ModuleFile.MaximumBytes, "more was unpacked than may be");
        OracleException.Check(name != s_names[0] || content.AsSpan().SequenceEqual(stored), "a plain module was changed");
        string text = Encoding.ASCII.GetString(content);
        foreach (string dependency in KernelModules.DependenciesOf(content))
            OracleException.Check(dependency.Length > 0 && !dependency.Contains(',', StringComparison.Ordinal)
                && text.Contains(dependency, StringComparison.Ordinal), "a module depends on what it does not name");
        return true;
    }

    public override IEnumerable<(string Name, byte[] Input)> Seeds()
    {
        yield return ("plain", [0, .. "\u007fELF\0depends=jbd2,mbcache\0"u8]);
        yield return ("xz", [1, .. Convert.FromHexString(Xz)]);
        yield return ("xz-window", [1, .. Convert.FromHexString(XzOfLargeWindow)]);
        yield return ("zstd", [2, .. Convert.FromHexString(Zstd)]);
    }

    /// <summary>As xz and zstd pack one.</summary>
    private const string Xz = "fd377a585a0000016922de360200210108000000d80f2313e00701012f5d003f9145846bcfdb603134da220fa0d10a6d9ea2"
            + "bddb017fd573263d5923f4f4389f46ed949efaf6b983e27dadfd60e909231e0af48f0a9ebf186732ec92ddbf476741896557"
            + "c13d1e9cf7e4e018f5a87b3f1951fdbd3368dba5fac1ddc020472a63bc1d840eaa929314299ec1923bb8d87567653a1bde8c"
            + "c16623ad7309cb4d4e5f79339f0c401ace1e0c4decc0a4e5f6f7a529fa4e065933b763171a4147a01928a91367eacfd6cde6"
            + "62397890d1d70aeae3c8351a09c3869928a08ab054343d667dcebdd09169fe573d4308b31983512021a44cdcaff234abf2bf"
            + "7a286238d1468b2bf195d3a148997c6fc95287d55d27f74fa31dff6618d85c83931fea56483a1474ad2c6ab1f112ad268081"
            + "5cf4ef3b601232d2b258e08b52506242a2e98faf8d01892f34bf5dfe8154e92300000000de692fb60001c702820e00000bfa"
            + "b6f83e300d8b020000000001595a";

    /// <summary>22 bytes, with a window of 1 GiB as it says.</summary>
    private const string XzOfLargeWindow = "fd377a585a0000016922de3602002101240000005e1fc7f901001500646570656e64733d6a6264322c6d6263616368650000"
            + "00008c01176000012a1652cc39bb9042990d010000000001595a";

    private const string Zstd = "28b52ffd04686d0a0044147f454c4661206b65726e656c206d6f64756c6520617320616e79206f746865723b200064657065"
            + "6e64733d6a6264322c6d62636163686500000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
            + "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152"
            + "535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f8081828384"
            + "85868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6"
            + "b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8"
            + "e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff6c6963656e73653d47504c000100da2dfcea09737aa410";
}
