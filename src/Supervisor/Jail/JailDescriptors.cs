namespace Sandbox.Supervisor.Jail;

/// <summary>What a VMM is started with, as the supervisor numbers it.</summary>
/// <param name="Ruleset">Of Landlock; -1 without.</param>
readonly record struct JailDescriptors(int Null, int Channel, int Kvm, int Program, int Ruleset);
