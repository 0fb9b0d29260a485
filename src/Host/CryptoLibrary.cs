using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>The library that the runtime's cryptography calls. It is looked for only when it is used.</summary>
public static class CryptoLibrary
{
    /// <summary>Ends in a message where the runtime would end the process.</summary>
    /// <exception cref="HostException">ENOENT: neither version is there.</exception>
    public static void Require()
    {
        foreach (string name in (ReadOnlySpan<string>)["libssl.so.3", "libssl.so.1.1"])
            if (NativeLibrary.TryLoad(name, out _))
                return;
        throw new HostException(Libc.ENOENT, "dlopen", "libssl.so.3", "install the package libssl3");
    }
}
