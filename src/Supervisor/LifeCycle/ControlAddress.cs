using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.LifeCycle;

/// <summary>
/// The address of a control socket: through the folder's descriptor, since the path may be longer than an address
/// holds, and since nobody can put another folder in its place.
/// </summary>
static unsafe class ControlAddress
{
    public static sockaddr_un In(StateFolder folder)
    {
        sockaddr_un address = default;
        address.sun_family = AF_UNIX;
        Encoding.ASCII.GetBytes(folder.PathOf(StateFolder.ControlName), new Span<byte>(address.sun_path, 108));
        return address;
    }
}
