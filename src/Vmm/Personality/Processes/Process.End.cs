namespace Sandbox.Vmm.Personality;

public sealed partial class Process
{
    /// <summary>
    /// The last thread has left: gives back all that the process held, outside TaskLock, then tells the parent.
    /// </summary>
    internal void End(GuestThread last, int status)
    {
        // After the guest's end nobody is left to see it, and the VMM is about to go with all of it.
        if (Personality.HasEnded)
            return;
        StopTimers(atEnd: true);
        PeakResident = Math.Max(PeakResident, Memory.Usage.Resident);
        Descriptors.Release(this);
        ExecutableFile?.Release();
        ExecutableFile = null;
        // With the first process the guest ends, and its memory with the VMM.
        if (!IsFirst)
            ReleaseMemory();
        lock (Personality.TaskLock)
        {
            if (last != Leader)
                Personality.ForgetTask(last.Tid);
            BecomeZombie(status);
        }
    }
}
