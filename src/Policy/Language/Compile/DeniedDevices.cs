namespace Sandbox.Policy.Language;

/// <summary>Finds the deny of a device.</summary>
sealed class DeniedDevices
{
    readonly Dictionary<(DeviceKind Kind, string? From), DeniedDevice> _byDevice = [];

    public DeniedDevices(IEnumerable<DeniedDevice> denied)
    {
        foreach (DeniedDevice one in denied)
            _byDevice.TryAdd((one.Kind, one.From), one);
    }

    /// <summary>What denies a device: all of its kind, or it by its file; null when nothing does.</summary>
    public DeniedDevice? For(DeviceRule device) =>
        _byDevice.GetValueOrDefault((device.Kind, null)) ?? _byDevice.GetValueOrDefault((device.Kind, device.From));
}
