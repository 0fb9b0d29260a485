using System.Diagnostics.CodeAnalysis;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Jail.Facts;

/// <summary>What the kernel told, or why it is not known.</summary>
readonly struct Reading<T>
{
    readonly T? _value;
    readonly bool _isKnown;
    readonly int _errno;

    Reading(T? value, bool isKnown, int errno)
    {
        _value = value;
        _isKnown = isKnown;
        _errno = errno;
    }

    public static Reading<T> Of(T value) => new(value, true, 0);

    /// <param name="errno">
    /// The kernel's error number; EBADMSG for a text that is not understood, EOVERFLOW for one beyond every bound.
    /// </param>
    public static Reading<T> Refused(int errno) => new(default, false, errno);

    /// <summary>Why it is not known; 0 when it is.</summary>
    public int Errno => _isKnown ? 0 : _errno == 0 ? ENODATA : _errno;

    public bool Is([MaybeNullWhen(false)] out T value)
    {
        value = _value;
        return _isKnown;
    }

    /// <summary>What the text says.</summary>
    /// <param name="understand">Null for a text that cannot be understood.</param>
    public Reading<TOther> As<TOther>(Func<T, TOther?> understand)
        where TOther : class
    {
        if (!_isKnown)
            return Reading<TOther>.Refused(Errno);
        return understand(_value!) is TOther other ? Reading<TOther>.Of(other) : Reading<TOther>.Refused(EBADMSG);
    }
}
