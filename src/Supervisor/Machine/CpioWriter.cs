using System.Globalization;
using System.Text;

namespace Sandbox.Supervisor.Machine;

/// <summary>
/// Writes an initramfs: a cpio archive in the form "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
/// </summary>
sealed class CpioWriter(Stream to)
{
    private const uint Folder = 0x4000, File = 0x8000, CharacterDevice = 0x2000;

    private uint _entries;
    private long _written;

    public void AddFolder(string path) => Add(path, Folder | 0x1ed, []);

    /// <param name="mode">Permission bits.</param>
    public void AddFile(string path, uint mode, ReadOnlySpan<byte> content) => Add(path, File | mode, content);

    public void AddCharacterDevice(string path, uint mode, uint major, uint minor) =>
        Add(path, CharacterDevice | mode, [], major, minor);

    /// <summary>The last entry. Nothing may be added afterwards.</summary>
    public void End() => Add("TRAILER!!!", 0, []);

    private void Add(string path, uint mode, ReadOnlySpan<byte> content, uint major = 0, uint minor = 0)
    {
        byte[] name = [.. Encoding.UTF8.GetBytes(path), 0];
        var head = new StringBuilder("070701");
        foreach (uint field in (ReadOnlySpan<uint>)
            [++_entries, mode, 0, 0, 1, 0, (uint)content.Length, 0, 0, major, minor, (uint)name.Length, 0])
            head.Append(field.ToString("X8", CultureInfo.InvariantCulture));
        Put(Encoding.ASCII.GetBytes(head.ToString()));
        Put(name);
        Pad();
        Put(content);
        Pad();
    }

    private void Put(ReadOnlySpan<byte> bytes)
    {
        to.Write(bytes);
        _written += bytes.Length;
    }

    private void Pad() => Put("\0\0\0"u8[..(int)(-_written & 3)]);
}
