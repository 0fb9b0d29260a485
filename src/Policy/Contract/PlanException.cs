namespace Sandbox.Policy.Contract;

/// <summary>What was read is no plan or breaks a rule, or what is to be written could not be read again.</summary>
public sealed class PlanException(string message) : Exception("launch plan: " + message);
