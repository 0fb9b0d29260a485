namespace Sandbox.Policy.Contract;

/// <summary>What was read is no plan, or a plan that breaks a rule; or what was to be written cannot be read again.</summary>
public sealed class PlanException(string message) : Exception("launch plan: " + message);
