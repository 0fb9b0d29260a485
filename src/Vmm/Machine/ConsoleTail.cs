using System.Text;
using Sandbox.Vmm.Devices.Serial;

namespace Sandbox.Vmm.Machine;

/// <summary>
/// The last that a guest's kernel said where nobody listens: for the operator, when the guest ends before its program
/// does.
/// </summary>
sealed class ConsoleTail : ISerialOutput
{
    private const int Capacity = 4096;
    private const int MaximumLines = 64;

    private readonly Lock _lock = new();
    private readonly byte[] _bytes = new byte[Capacity];
    private long _count;

    public bool HasRoom => true;

    public bool TrySend(byte value)
    {
        lock (_lock)
            _bytes[_count++ % Capacity] = value;
        return true;
    }

    /// <summary>The last whole lines, without anything that a terminal would obey.</summary>
    public string[] Lines()
    {
        StringBuilder text = new();
        lock (_lock)
            for (long i = Math.Max(0, _count - Capacity); i < _count; i++)
            {
                char letter = (char)_bytes[i % Capacity];
                if (letter is '\n' or (>= ' ' and <= '~'))
                    text.Append(letter);
            }
        string[] lines = text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        // The first is cut off where more came than is kept.
        return lines[Math.Max(lines.Length - MaximumLines, _count > Capacity && lines.Length > 1 ? 1 : 0)..];
    }
}
