namespace Sandbox.Supervisor.Trust;

/// <summary>A policy that can be read and is not signed as it must be, or is older than one that was seen.</summary>
sealed class UntrustedException(string message) : UsageException(message);
