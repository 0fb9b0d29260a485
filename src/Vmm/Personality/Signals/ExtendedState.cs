using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;

namespace Sandbox.Vmm.Personality.Signals;

/// <summary>Sizes and fields of the XSAVE image in standard format (Intel SDM volume 1, chapter 13).</summary>
static class ExtendedState
{
    public const int LegacySize = 512;
    public const int HeaderSize = 64;
    public const int ControlWordOffset = 0;
    public const int StatusWordOffset = 2;
    public const int MxcsrOffset = 24;
    public const int SoftwareReservedOffset = 464;

    private const uint ExtendedStateLeaf = 0xd;

    /// <summary>Bytes of an image that holds the given components, header included.</summary>
    public static int SizeOf(ulong components)
    {
        int size = LegacySize + HeaderSize;
        for (int component = 2; component < 63; component++)
        {
            if ((components >> component & 1) == 0)
                continue;
            (int length, int offset, _, _) = X86Base.CpuId(unchecked((int)ExtendedStateLeaf), component);
            size = Math.Max(size, offset + length);
        }
        return size;
    }

    /// <summary>The state that a program starts with: everything in its initial configuration.</summary>
    public static void Initialize(Span<byte> state)
    {
        state.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(state[ControlWordOffset..], 0x37f);
        BinaryPrimitives.WriteUInt32LittleEndian(state[MxcsrOffset..], 0x1f80);
    }
}
