namespace Sandbox.Lab;

/// <summary>
/// Two lab hosts with a network between them that nobody else is on: a socket of the two QEMUs. Each has it as eth0, without
/// an address.
/// </summary>
sealed class LabPair : IDisposable
{
    /// <param name="name">Names the folders of both.</param>
    /// <exception cref="InvalidOperationException">One does not start; the message holds what it said.</exception>
    public LabPair(string name)
    {
        string socket = Path.Combine(Directory.CreateDirectory(Laboratory.Logs).FullName, $"{name}.socket");
        File.Delete(socket);
        First = new LabHost(Options($"{name}-1", "server=on", socket, mac: "52:54:00:00:00:01"));
        try
        {
            Second = new LabHost(Options($"{name}-2", "server=off", socket, mac: "52:54:00:00:00:02"));
        }
        catch (InvalidOperationException)
        {
            First.Dispose();
            throw;
        }
    }

    public LabHost First { get; }

    public LabHost Second { get; }

    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
    }

    static LabHostOptions Options(string name, string side, string socket, string mac) => new()
    {
        Name = name,
        // Two at once on what may be a small machine.
        Memory = 1024,
        Arguments =
        [
            "-netdev", $"stream,id=pair,{side},addr.type=unix,addr.path={socket}",
            "-device", $"virtio-net-pci,netdev=pair,mac={mac}",
        ],
    };
}
