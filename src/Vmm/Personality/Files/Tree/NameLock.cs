namespace Sandbox.Vmm.Personality.Files;

/// <summary>
/// The outermost lock of a mount's tree. Whoever acts on a name that was looked up, and about which the rules were
/// asked, holds the names where they are meanwhile; several may. A rename waits for them and has the names to itself,
/// so that ancestry, too, holds still while it is checked. Not to be taken twice by one thread.
/// </summary>
public sealed class NameLock
{
    private readonly ReaderWriterLockSlim _lock = new();

    /// <summary>No name moves until the scope ends.</summary>
    internal Scope Hold()
    {
        _lock.EnterReadLock();
        return new(_lock, isExclusive: false);
    }

    /// <summary>Nobody else acts on a name until the scope ends.</summary>
    internal Scope Change()
    {
        _lock.EnterWriteLock();
        return new(_lock, isExclusive: true);
    }

    internal readonly ref struct Scope(ReaderWriterLockSlim names, bool isExclusive)
    {
        public void Dispose()
        {
            if (isExclusive)
                names.ExitWriteLock();
            else
                names.ExitReadLock();
        }
    }
}
