using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Sandbox.Host;
using static Sandbox.Host.Libc;

namespace Sandbox.Supervisor.Audit;

/// <summary>The secret that logs are chained with. Who has it can write any log anew; nobody else can.</summary>
sealed unsafe class AuditKey
{
    /// <summary>Bytes of the secret; the file has them as hexadecimal digits and a newline.</summary>
    public const int Length = 32;

    readonly byte[] _secret;

    public AuditKey(byte[] secret)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(secret.Length, Length);
        _secret = secret;
        Id = Convert.ToHexStringLower(SHA256.HashData(secret))[..16];
    }

    /// <summary>Tells keys apart without saying anything of them.</summary>
    public string Id { get; }

    public IncrementalHash NewHash() => IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _secret);

    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="UsageException">The file is no key, or others can read it.</exception>
    public static AuditKey? Load(string path)
    {
        CryptoLibrary.Require();
        using FileDescriptor? file = PrivateFile.Open(path, O_RDONLY);
        if (file is null)
            return null;
        file.GetStatus(out stat status);
        if ((status.st_mode & 0x3f) != 0)
            throw Mistake(path, "can be used by others; chmod 600 it, and think about who may have read it");
        Span<byte> text = stackalloc byte[2 * Length + 2];
        int length = PrivateFile.ReadAt(file, text, 0, path);
        var secret = new byte[Length];
        bool good = length == 2 * Length + 1 && text[length - 1] == (byte)'\n'
            && Convert.FromHexString(text[..(2 * Length)], secret, out _, out _) == System.Buffers.OperationStatus.Done;
        return good ? new AuditKey(secret) : throw Mistake(path, "is no key: 64 hexadecimal digits and a newline");
    }

    /// <summary>Makes a key at the first use. Of several processes that do so at once one wins, for all.</summary>
    /// <exception cref="UsageException">The file is no key, or others can read it.</exception>
    /// <exception cref="HostException">It cannot be made.</exception>
    public static AuditKey LoadOrCreate(string path)
    {
        if (Load(path) is AuditKey key)
            return key;
        PrivateFile.MakeFolderOf(path);
        string temporary = string.Create(CultureInfo.InvariantCulture, $"{path}.{Environment.ProcessId}");
        using (FileDescriptor file = FileDescriptor.Open(
            temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, PrivateFile.Mode))
        {
            byte[] text =
                Encoding.ASCII.GetBytes(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(Length)) + '\n');
            int error = PrivateFile.WriteAt(file, text, 0);
            if (error == 0 && fsync(file.Value) != 0)
                error = -errno;
            // A link never replaces: the first key stays.
            fixed (byte* from = Encoding.UTF8.GetBytes(temporary + '\0'), to = Encoding.UTF8.GetBytes(path + '\0'))
            {
                if (error == 0 && linkat(AT_FDCWD, from, AT_FDCWD, to, 0) != 0 && errno != EEXIST)
                    error = -errno;
                unlink(from);
            }

            if (error != 0)
                throw new HostException(-error, "write", path, "the key of audit logs is kept there");
        }

        return Load(path) ?? throw new HostException(ENOENT, "open", path);
    }

    static UsageException Mistake(string path, string what) =>
        new($"audit: the key {Sandbox.Policy.Language.Quote.Value(path)} {what}");
}
