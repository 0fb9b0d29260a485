namespace Sandbox.Vmm.Devices.Balloon;

/// <summary>What a snapshot keeps of a balloon beside its queues. Pages are of 4 KiB.</summary>
/// <param name="HoldsStatistics">Whether a buffer for statistics waits here, and which.</param>
public readonly record struct BalloonState(
    uint TargetPages, uint ActualPages, bool HoldsStatistics, ushort StatisticsHead);
