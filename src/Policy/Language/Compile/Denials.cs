using Sandbox.Policy.Contract;

namespace Sandbox.Policy.Language;

/// <summary>
/// What a policy denies to be shown, given or passed on. A deny overrides, wherever it stands and whatever file gives.
/// </summary>
public static class Denials
{
    /// <summary>The policy without what it denies, which is withheld.</summary>
    internal static PolicyModel Apply(PolicyModel model)
    {
        if (model.Hidden.Count + model.DeniedDevices.Count + model.DeniedVariables.Count == 0)
            return model;
        string home = CompiledPolicy.UserOf(model).Home;
        var hidden = new AbovePath<HiddenFile>(model.Hidden, denied => denied.Path, home);
        var devices = new DeniedDevices(model.DeniedDevices);
        HashSet<string> variables = [.. model.DeniedVariables.Select(denied => denied.Value)];
        ILookup<bool, ShownFile> shown = model.Shown.ToLookup(
            entry => hidden.Find(CompiledPolicy.ExpandHome(entry.Path, home)) is not null);
        ILookup<bool, DeviceRule> given = model.Devices.ToLookup(device => devices.For(device) is not null);
        return model with
        {
            Shown = [.. shown[false]],
            Devices = [.. given[false]],
            Environment = [.. model.Environment.Where(variable => !variables.Contains(variable.Value.Name))],
            Withheld = [.. model.Withheld, .. shown[true], .. given[true]],
        };
    }

    /// <summary>The policy without a rule; what that alone withheld is there again.</summary>
    internal static PolicyModel Without(PolicyModel model, IRule rule) => Apply(model with
    {
        Hidden = [.. model.Hidden.Where(other => !ReferenceEquals(other, rule))],
        DeniedDevices = [.. model.DeniedDevices.Where(other => !ReferenceEquals(other, rule))],
        Shown = [.. model.Shown, .. model.Withheld.OfType<ShownFile>()],
        Devices = [.. model.Devices, .. model.Withheld.OfType<DeviceRule>()],
        Withheld = [],
    });

    /// <summary>What denies that something appears at a guest path, or null.</summary>
    /// <param name="home">What ~ stands for.</param>
    public static HiddenFile? Hiding(PolicyModel model, string home, string path) =>
        new AbovePath<HiddenFile>(model.Hidden, denied => denied.Path, home).Find(path);

    /// <summary>What denies a variable, or null.</summary>
    public static Sourced<string>? OfVariable(PolicyModel model, string name) =>
        model.DeniedVariables.FirstOrDefault(denied => denied.Value == name);
}
