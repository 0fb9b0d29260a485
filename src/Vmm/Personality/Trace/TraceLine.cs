using System.Text;
using Sandbox.Vmm.Memory;
using Sandbox.Vmm.Personality.SystemCalls;
using static Sandbox.Host.Libc;

namespace Sandbox.Vmm.Personality.Trace;

/// <summary>One thread's line in the making: printed up to its first output argument, finished after the call.</summary>
sealed class TraceLine
{
    public const int MaximumArguments = 6;

    private readonly StringBuilder _text = new();
    private int _printed;
    private int? _openFlags;

    /// <summary>The call has begun and not ended.</summary>
    public bool IsOpen { get; private set; }

    public string Text => _text.ToString();

    public void Begin(string name)
    {
        _text.Clear().Append(name).Append('(');
        _printed = 0;
        _openFlags = null;
        IsOpen = true;
    }

    /// <summary>False, and nothing printed, for an argument that the call fills.</summary>
    public bool AppendInput(ReadOnlySpan<char> word, AddressSpace memory, in SystemCallArguments arguments)
    {
        if (_printed >= MaximumArguments || ArgumentFormat.IsOutput(word))
            return false;
        Append(word, memory, arguments, 0);
        return true;
    }

    public void AppendOutputs(string signature, AddressSpace memory, in SystemCallArguments arguments, long result)
    {
        int index = 0;
        foreach (Range range in signature.AsSpan().Split(' '))
        {
            ReadOnlySpan<char> word = signature.AsSpan()[range];
            if (word.IsEmpty || index++ < _printed || _printed >= MaximumArguments)
                continue;
            Append(word, memory, arguments, result);
        }
    }

    private void Append(ReadOnlySpan<char> word, AddressSpace memory, in SystemCallArguments arguments, long result)
    {
        // The mode of open(2) means nothing, and is usually garbage, unless the flags make a file.
        if (word is "mode" && _openFlags is { } flags && (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) == 0)
        {
            _printed++;
            return;
        }
        if (word is "flags:O")
            _openFlags = (int)(_printed == 1 ? arguments.A1 : arguments.A2);
        if (_printed > 0)
            _text.Append(", ");
        ArgumentFormat.Append(_text, word, memory, arguments, _printed, result);
        _printed++;
    }

    public void End(string result)
    {
        _text.Append(") = ").Append(result);
        IsOpen = false;
    }
}
