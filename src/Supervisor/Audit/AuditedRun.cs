using System.Security.Cryptography;
using System.Text;
using Sandbox.Host;
using Sandbox.Policy.Language;
using Sandbox.Supervisor.LifeCycle;

namespace Sandbox.Supervisor.Audit;

/// <summary>What every line of one sandbox says.</summary>
/// <param name="Sandbox">Its ID.</param>
/// <param name="PolicyDigest">
/// SHA-256 of the policy after composition, as <see cref="PolicyText"/> writes it without origins.
/// </param>
/// <param name="PolicyRevision">Of a signed policy; null for others.</param>
/// <param name="IsLearning">Nothing but what mounts enforce is refused.</param>
sealed record AuditedRun(string Sandbox, string PolicyName, string PolicyDigest, long? PolicyRevision, bool IsLearning)
{
    public static AuditedRun Of(SandboxId id, PolicyModel policy, long? revision, bool isLearning)
    {
        CryptoLibrary.Require();
        byte[] digest = SHA256.HashData(Encoding.UTF8.GetBytes(PolicyText.Write(policy, origins: false)));
        return new AuditedRun(
            id.ToString(), policy.Source.Name, Convert.ToHexStringLower(digest), revision, isLearning);
    }
}

/// <summary>What one sandbox took, as the host's kernel counts it: the VMM is not asked.</summary>
readonly record struct AuditedUsage(
    long WallMilliseconds, long CpuMilliseconds, long PeakKibibytes, long Decisions, long Dropped);
