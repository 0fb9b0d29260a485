using Sandbox.Host;
using Sandbox.Vmm.Memory;

namespace Sandbox.Fuzz.Targets;

// Reading and writing: by the VMM for the program, by the program itself, and through the objects.
sealed partial class MemorySession
{
    private const int MaximumAccessedPages = 40;

    /// <summary>As long as it takes to be given a large page.</summary>
    private const int MaximumWalk = Page.PerLarge + 64;

    private static readonly byte[] Scratch = new byte[MaximumAccessedPages * Page.Size];

    private static byte ByteOf(in MemoryOperation operation) => (byte)(operation.Detail | 1);

    /// <summary>copy_to_user from a quarter of a page on.</summary>
    private void Write(in MemoryOperation operation)
    {
        byte value = ByteOf(operation);
        int cells = Math.Min(operation.Count, MaximumAccessedPages),
            firstCell = operation.Second % ModelObject.CellsPerPage;
        cells = Math.Min(cells, ((ModelSpace.PageCount - operation.First) * ModelObject.CellsPerPage) - firstCell);
        Span<byte> bytes = Scratch.AsSpan(0, cells * ModelObject.CellSize);
        bytes.Fill(value);
        bool result = _current.Real.TryWrite(
            new VirtualAddress(operation.Start.Value + (ulong)(firstCell * ModelObject.CellSize)), bytes);
        bool expected = true;
        for (int i = firstCell; _isComparing && expected && i < firstCell + cells; i++)
        {
            int page = operation.First + (i / ModelObject.CellsPerPage);
            expected = _current.Model.Access(page, write: true, execute: false) == FaultResult.Resolved;
            if (expected)
                NoteWrite(page, i % ModelObject.CellsPerPage, value);
        }
        CompareAccess("writing", result, expected);
    }

    private void NoteWrite(int page, int cell, byte value)
    {
        _current.Model.Write(page, cell, value);
        if (_current.Model[page] is { Object.IsHostFile: true, IsOwn: false })
            objects.NoteHostWrite();
    }

    private void CompareAccess(string access, bool result, bool expected)
    {
        if (isTight && !result && expected)
            _isComparing = false;
        if (_isComparing)
            OracleException.Check(result == expected, $"{access}: {result}, the model says {expected}");
    }

    private void Read(in MemoryOperation operation)
    {
        for (int i = operation.First; i < operation.First + Math.Min(operation.Count, MaximumAccessedPages); i++)
            ReadPage(i);
    }

    private void ReadPage(int page)
    {
        Span<byte> bytes = Scratch.AsSpan(0, Page.Size);
        bool result = _current.Real.TryRead(new VirtualAddress((ulong)page * Page.Size), bytes);
        if (!_isComparing)
            return;
        bool expected = _current.Model.Access(page, write: false, execute: false) == FaultResult.Resolved;
        CompareAccess("reading", result, expected);
        if (result && _isComparing)
            CheckContent(bytes, _current.Model.Content(page), "a page reads as something else");
    }

    private static void CheckContent(ReadOnlySpan<byte> page, uint content, string message)
    {
        for (int cell = 0; cell < page.Length / ModelObject.CellSize; cell++)
        {
            byte expected = (byte)(content >> (cell * ModelObject.CellBits));
            OracleException.Check(!page.Slice(cell * ModelObject.CellSize,
                ModelObject.CellSize).ContainsAnyExcept(expected), message);
        }
    }

    /// <summary>The program touches one page after the other, as a loop over an array does.</summary>
    private void Walk(in MemoryOperation operation)
    {
        for (int i = 0; i < Math.Min(operation.Count, MaximumWalk); i++)
            RunAt(operation with { First = operation.First + i }, operation.Second % ModelObject.CellsPerPage);
    }

    private void Run(in MemoryOperation operation) => RunAt(operation, operation.Second % ModelObject.CellsPerPage);

    /// <summary>The program reads, writes or executes a page.</summary>
    private unsafe void RunAt(in MemoryOperation operation, int cell)
    {
        bool execute = (operation.Detail & 0xc0) == 0xc0, write = !execute && (operation.Detail & 0x80) != 0;
        ShadowCpu cpu = _current.Cpus[operation.Processor % _current.Cpus.Length];
        FaultResult result = cpu.Access(operation.Start.Value, write, execute, out PhysicalAddress physical);
        if (!_isComparing)
            return;
        FaultResult expected = _current.Model.Access(operation.First, write, execute);
        if (!Compare("a fault", result, expected))
            return;
        // Host files are reached by the VMM through system calls alone.
        if (!PagePool.Contains(physical))
            return;
        Span<byte> page = new(memory.Pool.HostAddress(physical), Page.Size);
        CheckContent(page, _current.Model.Content(operation.First), "the program sees something else");
        if (!write)
            return;
        page.Slice(cell * ModelObject.CellSize, ModelObject.CellSize).Fill(ByteOf(operation));
        NoteWrite(operation.First, cell, ByteOf(operation));
    }

    private void WriteObject(in MemoryOperation operation)
    {
        if (objects.Real(operation.Object) is not { } real)
            return;
        int cells = Math.Min(operation.Cells, MaximumAccessedPages);
        Span<byte> bytes = Scratch.AsSpan(0, cells * ModelObject.CellSize);
        bytes.Fill(ByteOf(operation));
        long result = real.Write((long)operation.FirstCell * ModelObject.CellSize, bytes);
        if (isTight && result < bytes.Length)
            _isComparing = false;
        if (!_isComparing)
            return;
        OracleException.Check(result == bytes.Length, "an object is not written");
        ModelObject model = objects.Model(operation.Object);
        for (int i = 0; i < cells; i++)
            model[operation.FirstCell + i] = ByteOf(operation);
        if (cells > 0)
            model.Length = Math.Max(model.Length, operation.FirstCell + cells);
    }

    private void ReadObject(in MemoryOperation operation)
    {
        if (objects.Real(operation.Object) is not { } real)
            return;
        ModelObject model = objects.Model(operation.Object);
        int cells = Math.Min(operation.Cells, MaximumAccessedPages);
        Span<byte> bytes = Scratch.AsSpan(0, cells * ModelObject.CellSize);
        long result = real.Read((long)operation.FirstCell * ModelObject.CellSize, bytes);
        if (!_isComparing)
            return;
        int expected = Math.Clamp(model.Length - operation.FirstCell, 0, cells);
        OracleException.Check(real.Length == (long)model.Length * ModelObject.CellSize, "an object has another length");
        OracleException.Check(result == expected * ModelObject.CellSize, "an object reads shorter or longer");
        for (int i = 0; i < expected; i++)
            CheckContent(bytes.Slice(i * ModelObject.CellSize, ModelObject.CellSize), model[operation.FirstCell + i],
                "an object reads as something else");
    }

    private void ResizeObject(in MemoryOperation operation)
    {
        if (objects.Real(operation.Object) is not { } real)
            return;
        ModelObject model = objects.Model(operation.Object);
        int length = operation.FirstCell;
        OracleException.Check(real.SetLength((long)length * ModelObject.CellSize) == 0,
            "an object cannot change its length");
        bool shrinks = length < model.Length;
        model.Length = length;
        if (!shrinks)
            return;
        for (int i = length; i < MemoryObjects.Pages * ModelObject.CellsPerPage; i++)
            model[i] = 0;
        if (_isComparing)
            foreach (Space space in _spaces)
                space.Model.ObjectShrank(model, model.PageCount);
    }

    private static void Punch(ModelObject model, int firstCell, int cells)
    {
        for (int i = firstCell; i < Math.Min(firstCell + cells, model.Length); i++)
            model[i] = 0;
    }
}
