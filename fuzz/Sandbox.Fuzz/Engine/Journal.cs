using System.Diagnostics;
using System.IO.MemoryMappedFiles;

namespace Sandbox.Fuzz.Engine;

/// <summary>
/// A page shared between a worker and its supervisor: what the worker has done, and the input it is executing. The
/// input is there before it runs, so that whatever the input does to the worker can be blamed on it.
/// </summary>
public sealed unsafe class Journal : IDisposable
{
    private const int HeaderSize = 4096;

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Header* _header;
    private readonly byte* _input;
    private readonly int _capacity;

    private struct Header
    {
        public long Executions;
        public long Corpus;
        public long Edges;
        public long RunningSince;
        public long InputLength;
    }

    public Journal(string path, int maximumInput)
    {
        _capacity = maximumInput;
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.OpenOrCreate, null, HeaderSize + maximumInput);
        _view = _file.CreateViewAccessor();
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _header = (Header*)start;
        _input = start + HeaderSize;
    }

    public long Executions => Volatile.Read(ref _header->Executions);

    public long Corpus
    {
        get => Volatile.Read(ref _header->Corpus);
        set => Volatile.Write(ref _header->Corpus, value);
    }

    public long Edges
    {
        get => Volatile.Read(ref _header->Edges);
        set => Volatile.Write(ref _header->Edges, value);
    }

    /// <summary>When the input began to run, in <see cref="Stopwatch"/> ticks, or 0 between inputs.</summary>
    public long RunningSince => Volatile.Read(ref _header->RunningSince);

    public void Begin(ReadOnlySpan<byte> input)
    {
        input.CopyTo(new Span<byte>(_input, _capacity));
        _header->InputLength = input.Length;
        Volatile.Write(ref _header->RunningSince, Stopwatch.GetTimestamp());
    }

    public void End()
    {
        Volatile.Write(ref _header->RunningSince, 0);
        Volatile.Write(ref _header->Executions, _header->Executions + 1);
    }

    /// <summary>The input that was running when the worker died.</summary>
    public byte[] LastInput() =>
        new ReadOnlySpan<byte>(_input, (int)Math.Clamp(_header->InputLength, 0, _capacity)).ToArray();

    public void Clear() => new Span<byte>(_header, sizeof(Header)).Clear();

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
