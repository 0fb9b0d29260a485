namespace Sandbox.Supervisor.Jail;

/// <summary>What a VMM is started with, as the supervisor numbers it.</summary>
readonly record struct JailDescriptors(int Null, int Channel, int Kvm, int Program);
