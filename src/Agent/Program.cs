using Sandbox.Host;
using Sandbox.Policy.Contract;

namespace Sandbox.Agent;

/// <summary>
/// The first process of a machine guest with a root image: mounts the root, runs one program in it, and moves bytes
/// between the program and the VMM. It ends by turning the machine off; its VMM ends the machine before that.
/// </summary>
static class Program
{
    private static int Main()
    {
        try
        {
            GuestRoot.MountKernelFiles();
            AgentOrder order = GuestRoot.ReadOrder();
            GuestRoot.LoadModules(order.Modules);
            using AgentSocket socket = AgentSocket.Connect();
            try
            {
                Run(order, socket);
            }
            catch (Exception failure)
            {
                AgentException told = AgentException.Of(failure);
                if (told != failure)
                    GuestRoot.Say($"sandbox-agent: {failure.GetType().Name}\n");
                socket.Send(AgentFrameKind.Failed, [(byte)told.Step, .. BitConverter.GetBytes(told.Errno)]);
            }
            socket.WaitUntilHeard();
        }
        catch (Exception failure)
        {
            // Nobody hears it but the kernel's console.
            AgentException told = AgentException.Of(failure);
            GuestRoot.Say($"sandbox-agent: {told.Step}: error {told.Errno}\n");
        }
        Libc.sync();
        Libc.reboot(Libc.LINUX_REBOOT_CMD_POWER_OFF);
        return 1;
    }

    private static void Run(AgentOrder order, AgentSocket socket)
    {
        GuestNetwork.Configure(order.Interfaces);
        GuestRoot.Enter(order);
        using Payload payload = Payload.Start(order);
        socket.Send(AgentFrameKind.Started, []);
        int status = new Relay(socket, payload).Run();
        // What a writable root has to keep is kept before anybody is told that the program has ended.
        Libc.sync();
        bool signaled = Libc.WIFSIGNALED(status);
        int value = signaled ? Libc.WTERMSIG(status) : Libc.WEXITSTATUS(status);
        socket.Send(AgentFrameKind.Ended, [(byte)(signaled ? 1 : 0), (byte)value]);
    }
}
