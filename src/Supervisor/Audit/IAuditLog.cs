using Sandbox.Host;

namespace Sandbox.Supervisor.Audit;

/// <summary>Where events go.</summary>
interface IAuditLog : IDisposable
{
    /// <exception cref="UsageException">The log is not what it was: somebody changed it.</exception>
    /// <exception cref="HostException">It cannot be written; then none of the events is in it.</exception>
    void Append(IReadOnlyList<AuditEvent> events);
}

/// <summary>For learning under a policy that keeps no log.</summary>
sealed class NoLog : IAuditLog
{
    public void Append(IReadOnlyList<AuditEvent> events)
    {
    }

    public void Dispose()
    {
    }
}
