using Sandbox.Vmm.Platforms;

namespace Sandbox.Vmm.Memory;

public sealed partial class AddressSpace
{
    private long _generation;

    /// <summary>Grows whenever a processor's older translations of this space have become wrong.</summary>
    public long Generation => Volatile.Read(ref _generation);

    /// <summary>A processor will run on these tables. The generation that its translations start with.</summary>
    internal long AddProcessor(VirtualCpu cpu)
    {
        lock (_lock)
        {
            _cpus.Add(cpu);
            return _generation;
        }
    }

    internal void RemoveProcessor(VirtualCpu cpu)
    {
        lock (_lock)
            _cpus.Remove(cpu);
    }

    /// <summary>
    /// Before a processor returns to the program: what this space's edits took away must be out of reach for every
    /// processor, and only then are the pages free.
    /// </summary>
    /// <returns>False when the platform failed.</returns>
    internal bool CompleteEdits(VirtualCpu cpu)
    {
        // Without the lock: edits that another processor's call or fault makes are completed by that one, and those of
        // another process call this one out (CallOut).
        if (_table.Edits.IsEmpty)
            return true;
        lock (_lock)
            return CompleteLocked(cpu);
    }

    private bool CompleteLocked(VirtualCpu cpu)
    {
        if (_table.Edits.IsEmpty)
            return true;
        if (_table.Edits.IsOverflown)
            _memory.Slots.ForgetTranslations();
        else if (!cpu.RewriteEntries(_table.Edits))
            return false;
        cpu.SeenGeneration = CallOut(cpu);
        ReleaseQuarantine();
        return true;
    }

    /// <summary>Calls every other processor of this space out of the guest and waits until it has left.</summary>
    public void InterruptOthers(VirtualCpu self)
    {
        lock (_lock)
        {
            long generation = CallOut(self);
            // One that had not seen the generation before has translations to drop.
            if (self.SeenGeneration == generation - 1)
                self.SeenGeneration = generation;
        }
    }

    /// <summary>
    /// Begins a new generation, and waits until no processor but <paramref name="self"/> runs with translations of an
    /// older one.
    /// </summary>
    private long CallOut(VirtualCpu? self)
    {
        long generation = Interlocked.Increment(ref _generation);
        foreach (VirtualCpu cpu in _cpus)
            if (cpu != self)
                WaitUntilRefreshed(cpu, generation);
        return generation;
    }

    /// <summary>
    /// A processor that is out of the guest refreshes before it goes back in. One that is inside is called out; it
    /// takes no lock on its way.
    /// </summary>
    private static void WaitUntilRefreshed(VirtualCpu other, long generation)
    {
        if (!other.IsRunningGuestCode)
            return;
        other.Interrupt();
        SpinWait spin = default;
        while (other.IsRunningGuestCode && other.SeenGeneration < generation)
            spin.SpinOnce();
    }
}
