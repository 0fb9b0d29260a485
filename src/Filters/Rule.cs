using System.Runtime.CompilerServices;
using Sandbox.Vmm;

namespace Sandbox.Filters;

/// <summary>Some uses of one system call, who may make them, and why.</summary>
/// <param name="Number">Of x86-64.</param>
/// <param name="Name">SYS_*, as in the source of the rule.</param>
/// <param name="Roles">Threads that may. None: only before a thread has taken its role.</param>
/// <param name="Reason">What needs it.</param>
/// <param name="Conditions">All must hold; several of one argument are several rules.</param>
sealed record Rule(int Number, string Name, ThreadRole Roles, string Reason, Condition[] Conditions)
{
    /// <summary>Not for the VMMs of guests without these.</summary>
    public GuestNeeds Needs { get; init; }

    /// <summary>Null to allow it; otherwise the error that it is answered with, not made. 0 is the answer 0.</summary>
    public int? Errno { get; init; }

    public static Rule Allow(
        ThreadRole roles, int number, string reason, Condition[]? conditions = null,
        [CallerArgumentExpression(nameof(number))] string name = "") =>
        new(number, name, roles, reason, conditions ?? []);

    /// <summary>The call is answered with an error and not made; the caller has another way.</summary>
    public static Rule Refuse(
        ThreadRole roles, int number, int errno, string reason,
        [CallerArgumentExpression(nameof(number))] string name = "") =>
        new(number, name, roles, reason, []) { Errno = errno };

    /// <summary>Every combination of the conditions' values: one of each condition.</summary>
    public IEnumerable<(Condition Condition, ulong Value)[]> Combinations()
    {
        IEnumerable<(Condition, ulong)[]> all = [[]];
        foreach (Condition condition in Conditions)
            all = all.SelectMany(chosen =>
                condition.Values.Select(value => ((Condition, ulong)[])[.. chosen, (condition, value)]));
        return all;
    }
}
