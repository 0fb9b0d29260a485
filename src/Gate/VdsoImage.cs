using System.Buffers.Binary;
using System.Text;

namespace Sandbox.Gate;

/// <summary>
/// Writes the vDSO as an ELF shared object: one read-only executable segment at address 0 with symbols
/// <c>__vdso_*</c> (and weak plain names) of version LINUX_2.6, both kinds of hash table, unwind tables and section
/// headers. The C libraries find functions through the dynamic section, debuggers through the sections
/// (System V gABI; vdso(7)).
/// </summary>
sealed class VdsoImage
{
    private const string SoName = "linux-vdso.so.1";
    private const string Version = "LINUX_2.6";
    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;
    private const int SectionHeaderSize = 64;
    private const int SymbolSize = 24;
    private const int HashBuckets = 3;
    private const ushort VersionIndex = 2;

    private readonly record struct Symbol(string Name, int Offset, int Size, byte Binding, int Section);

    private sealed record Section(
        string Name, uint Type, ulong Flags, int Offset, int Size, int Link, int Info, int Align, int EntrySize);

    private readonly MemoryStream _strings = new();
    private readonly Dictionary<string, int> _stringOffsets = [];

    /// <summary>The whole image; its length is a multiple of the page size.</summary>
    public static byte[] Build() => new VdsoImage().BuildImage();

    private byte[] BuildImage()
    {
        AddString("");
        // The text's place depends on the tables, whose sizes depend only on names: assemble once to learn the names.
        VdsoCode.Assemble(0, out VdsoCode.Function[] names);
        Symbol[] symbols = Symbols(names, 0);
        foreach (Symbol symbol in symbols)
            AddString(symbol.Name);
        AddString(SoName);
        AddString(Version);
        byte[] strings = _strings.ToArray();

        const int programHeaders = 4;
        int position = HeaderSize + programHeaders * ProgramHeaderSize;
        int Place(int size, int align)
        {
            position = (position + align - 1) / align * align;
            int start = position;
            position += size;
            return start;
        }

        int symbolCount = symbols.Length + 1;
        int hashSize = 4 * (2 + HashBuckets + symbolCount);
        int hash = Place(hashSize, 8);
        int gnuHashSize = 4 * 4 + 8 + 4 * HashBuckets + 4 * symbols.Length;
        int gnuHash = Place(gnuHashSize, 8);
        int dynsym = Place(symbolCount * SymbolSize, 8);
        int dynstr = Place(strings.Length, 1);
        int versym = Place(2 * symbolCount, 2);
        const int verdefSize = 2 * (20 + 8);
        int verdef = Place(verdefSize, 8);
        const int dynamicEntries = 12;
        int dynamic = Place(dynamicEntries * 16, 8);
        const int ehFrameHeaderSize = 20;
        int ehFrameHeader = Place(ehFrameHeaderSize, 4);
        const int ehFrameSize = 24 + 24 + 4;
        int ehFrame = Place(ehFrameSize, 8);
        int text = Place(0, 64);
        byte[] code = VdsoCode.Assemble(text, out VdsoCode.Function[] functions);
        Place(code.Length, 1);
        int loadEnd = position;

        const int textSection = 10;
        symbols = [.. Symbols(functions, text).OrderBy(s => GnuHash(s.Name) % HashBuckets)];

        List<Section> sections =
        [
            new("", 0, 0, 0, 0, 0, 0, 0, 0),
            new(".hash", 5, 2, hash, hashSize, 3, 0, 8, 4),
            new(".gnu.hash", 0x6ffffff6, 2, gnuHash, gnuHashSize, 3, 0, 8, 0),
            new(".dynsym", 11, 2, dynsym, symbolCount * SymbolSize, 4, 1, 8, SymbolSize),
            new(".dynstr", 3, 2, dynstr, strings.Length, 0, 0, 1, 0),
            new(".gnu.version", 0x6fffffff, 2, versym, 2 * symbolCount, 3, 0, 2, 2),
            new(".gnu.version_d", 0x6ffffffd, 2, verdef, verdefSize, 4, 2, 8, 0),
            new(".dynamic", 6, 2, dynamic, dynamicEntries * 16, 4, 0, 8, 16),
            new(".eh_frame_hdr", 1, 2, ehFrameHeader, ehFrameHeaderSize, 0, 0, 4, 0),
            new(".eh_frame", 1, 2, ehFrame, ehFrameSize, 0, 0, 8, 0),
            new(".text", 1, 6, text, code.Length, 0, 0, 64, 0),
        ];
        if (sections[textSection].Name != ".text")
            throw new InvalidOperationException("symbols name the wrong section");
        MemoryStream sectionNames = new();
        List<int> nameOffsets = [];
        foreach (string name in sections.Select(s => s.Name).Append(".shstrtab"))
        {
            nameOffsets.Add((int)sectionNames.Length);
            sectionNames.Write(Encoding.ASCII.GetBytes(name + '\0'));
        }
        int shstrtab = Place((int)sectionNames.Length, 1);
        sections.Add(new(".shstrtab", 3, 0, shstrtab, (int)sectionNames.Length, 0, 0, 1, 0));
        int sectionTable = Place(sections.Count * SectionHeaderSize, 8);

        byte[] image = new byte[(position + 4095) / 4096 * 4096];
        strings.CopyTo(image, dynstr);
        code.CopyTo(image, text);
        sectionNames.ToArray().CopyTo(image, shstrtab);
        WriteHeader(image, programHeaders, sectionTable, sections.Count);
        WriteProgramHeader(image, 0, 1, 5, 0, loadEnd, 4096);                                  // PT_LOAD R+X
        WriteProgramHeader(image, 1, 2, 4, dynamic, dynamicEntries * 16, 8);                   // PT_DYNAMIC
        WriteProgramHeader(image, 2, 0x6474e550, 4, ehFrameHeader, ehFrameHeaderSize, 4);      // PT_GNU_EH_FRAME
        WriteProgramHeader(image, 3, 0x6474e551, 4, 0, 0, 16);                                 // PT_GNU_STACK
        WriteSymbols(image.AsSpan(dynsym), symbols, textSection);
        WriteHash(image.AsSpan(hash), symbols);
        WriteGnuHash(image.AsSpan(gnuHash), symbols);
        WriteVersions(image.AsSpan(versym), image.AsSpan(verdef), symbolCount);
        WriteDynamic(image.AsSpan(dynamic),
        [
            (14, _stringOffsets[SoName]),       // DT_SONAME
            (4, hash),                          // DT_HASH
            (0x6ffffef5, gnuHash),              // DT_GNU_HASH
            (5, dynstr),                        // DT_STRTAB
            (6, dynsym),                        // DT_SYMTAB
            (10, strings.Length),               // DT_STRSZ
            (11, SymbolSize),                   // DT_SYMENT
            (0x6ffffff0, versym),               // DT_VERSYM
            (0x6ffffffc, verdef),               // DT_VERDEF
            (0x6ffffffd, 2),                    // DT_VERDEFNUM
            (0, 0),
            (0, 0),
        ]);
        WriteUnwindTables(image, ehFrameHeader, ehFrame, text, code.Length);
        for (int i = 0; i < sections.Count; i++)
            WriteSectionHeader(image.AsSpan(sectionTable + i * SectionHeaderSize), sections[i], nameOffsets[i]);
        return image;
    }

    private static Symbol[] Symbols(VdsoCode.Function[] functions, int text)
    {
        const byte global = 1, weak = 2;
        List<Symbol> symbols = [];
        foreach (VdsoCode.Function function in functions)
        {
            symbols.Add(new("__vdso_" + function.Name, text + function.Offset, function.Size, global, 0));
            symbols.Add(new(function.Name, text + function.Offset, function.Size, weak, 0));
        }
        return [.. symbols];
    }

    private void AddString(string value)
    {
        _stringOffsets.Add(value, (int)_strings.Length);
        _strings.Write(Encoding.ASCII.GetBytes(value + '\0'));
    }

    private static void WriteHeader(byte[] image, int programHeaders, int sectionTable, int sectionCount)
    {
        Span<byte> h = image;
        "\x7f"u8.CopyTo(h);
        "ELF"u8.CopyTo(h[1..]);
        h[4] = 2;                                                       // ELFCLASS64
        h[5] = 1;                                                       // ELFDATA2LSB
        h[6] = 1;                                                       // EV_CURRENT
        Put16(h[16..], 3);                                              // ET_DYN
        Put16(h[18..], 62);                                             // EM_X86_64
        Put32(h[20..], 1);
        Put64(h[32..], HeaderSize);
        Put64(h[40..], sectionTable);
        Put16(h[52..], HeaderSize);
        Put16(h[54..], ProgramHeaderSize);
        Put16(h[56..], programHeaders);
        Put16(h[58..], SectionHeaderSize);
        Put16(h[60..], sectionCount);
        Put16(h[62..], sectionCount - 1);
    }

    private static void WriteProgramHeader(
        byte[] image, int index, uint type, uint flags, int offset, int size, int align)
    {
        Span<byte> p = image.AsSpan(HeaderSize + index * ProgramHeaderSize);
        Put32(p, type);
        Put32(p[4..], flags);
        Put64(p[8..], offset);
        Put64(p[16..], offset);
        Put64(p[24..], offset);
        Put64(p[32..], size);
        Put64(p[40..], size);
        Put64(p[48..], align);
    }

    private static void WriteSectionHeader(Span<byte> h, Section section, int name)
    {
        bool loaded = (section.Flags & 2) != 0;
        Put32(h, (uint)name);
        Put32(h[4..], section.Type);
        Put64(h[8..], (long)section.Flags);
        Put64(h[16..], loaded ? section.Offset : 0);
        Put64(h[24..], section.Offset);
        Put64(h[32..], section.Size);
        Put32(h[40..], (uint)section.Link);
        Put32(h[44..], (uint)section.Info);
        Put64(h[48..], section.Align);
        Put64(h[56..], section.EntrySize);
    }

    private void WriteSymbols(Span<byte> table, Symbol[] symbols, int section)
    {
        const int function = 2;
        for (int i = 0; i < symbols.Length; i++)
        {
            Span<byte> entry = table[((i + 1) * SymbolSize)..];
            Put32(entry, (uint)_stringOffsets[symbols[i].Name]);
            entry[4] = (byte)(symbols[i].Binding << 4 | function);
            Put16(entry[6..], section);
            Put64(entry[8..], symbols[i].Offset);
            Put64(entry[16..], symbols[i].Size);
        }
    }

    /// <summary>DT_HASH: nbucket, nchain, buckets, chains.</summary>
    private static void WriteHash(Span<byte> table, Symbol[] symbols)
    {
        Put32(table, HashBuckets);
        Put32(table[4..], (uint)symbols.Length + 1);
        Span<byte> buckets = table[8..];
        Span<byte> chains = buckets[(4 * HashBuckets)..];
        for (int i = 0; i < symbols.Length; i++)
        {
            uint index = (uint)i + 1;
            Span<byte> bucket = buckets[(int)(4 * (SysvHash(symbols[i].Name) % HashBuckets))..];
            Put32(chains[(int)(4 * index)..], BinaryPrimitives.ReadUInt32LittleEndian(bucket));
            Put32(bucket, index);
        }
    }

    /// <summary>
    /// DT_GNU_HASH: header, a Bloom filter of one word, buckets, hash values; symbols sorted by bucket.
    /// </summary>
    private static void WriteGnuHash(Span<byte> table, Symbol[] symbols)
    {
        const int bloomShift = 6;
        Put32(table, HashBuckets);
        Put32(table[4..], 1);
        Put32(table[8..], 1);
        Put32(table[12..], bloomShift);
        Span<byte> buckets = table[24..];
        Span<byte> values = buckets[(4 * HashBuckets)..];
        ulong bloom = 0;
        for (int i = 0; i < symbols.Length; i++)
        {
            uint hash = GnuHash(symbols[i].Name);
            uint bucket = hash % HashBuckets;
            bloom |= 1UL << (int)(hash % 64) | 1UL << (int)((hash >> bloomShift) % 64);
            bool isFirst = i == 0 || GnuHash(symbols[i - 1].Name) % HashBuckets != bucket;
            bool isLast = i == symbols.Length - 1 || GnuHash(symbols[i + 1].Name) % HashBuckets != bucket;
            if (isFirst)
                Put32(buckets[(int)(4 * bucket)..], (uint)i + 1);
            Put32(values[(4 * i)..], isLast ? hash | 1 : hash & ~1u);
        }
        Put64(table[16..], (long)bloom);
    }

    private void WriteVersions(Span<byte> versym, Span<byte> verdef, int symbolCount)
    {
        for (int i = 1; i < symbolCount; i++)
            Put16(versym[(2 * i)..], VersionIndex);
        const int entrySize = 20 + 8;
        WriteVersion(verdef, flags: 1, index: 1, SoName, next: entrySize);                     // VER_FLG_BASE
        WriteVersion(verdef[entrySize..], flags: 0, index: VersionIndex, Version, next: 0);
    }

    private void WriteVersion(Span<byte> entry, int flags, int index, string name, int next)
    {
        Put16(entry, 1);                                                // VER_DEF_CURRENT
        Put16(entry[2..], flags);
        Put16(entry[4..], index);
        Put16(entry[6..], 1);                                           // one name
        Put32(entry[8..], SysvHash(name));
        Put32(entry[12..], 20);                                         // the name follows
        Put32(entry[16..], (uint)next);
        Put32(entry[20..], (uint)_stringOffsets[name]);
        Put32(entry[24..], 0);
    }

    private static void WriteDynamic(Span<byte> table, (long Tag, long Value)[] entries)
    {
        for (int i = 0; i < entries.Length; i++)
        {
            Put64(table[(16 * i)..], entries[i].Tag);
            Put64(table[(16 * i + 8)..], entries[i].Value);
        }
    }

    /// <summary>
    /// One CIE ("the frame is the return address") and one FDE over the whole text, with the binary search table that
    /// unwinders want (LSB Core, "Exception Frames").
    /// </summary>
    private static void WriteUnwindTables(byte[] image, int header, int frame, int text, int textSize)
    {
        const byte pcRelative4 = 0x1b, udata4 = 0x03, dataRelative4 = 0x3b;
        Span<byte> cie = image.AsSpan(frame, 24);
        Put32(cie, 20);                                                 // length behind this word
        Put32(cie[4..], 0);                                             // a CIE
        cie[8] = 1;                                                     // version
        "zR\0"u8.CopyTo(cie[9..]);
        cie[12] = 1;                                                    // code alignment factor
        cie[13] = 0x78;                                                 // data alignment factor -8
        cie[14] = 16;                                                   // return address column: RIP
        cie[15] = 1;                                                    // augmentation length
        cie[16] = pcRelative4;
        cie[17] = 0x0c;                                                 // DW_CFA_def_cfa
        cie[18] = 7;                                                    // RSP
        cie[19] = 8;
        cie[20] = 0x80 | 16;                                            // DW_CFA_offset RIP
        cie[21] = 1;                                                    // at CFA-8; the rest is DW_CFA_nop

        Span<byte> fde = image.AsSpan(frame + 24, 24);
        Put32(fde, 20);
        Put32(fde[4..], 24 + 4);                                        // distance back to the CIE
        Put32(fde[8..], (uint)(text - (frame + 24 + 8)));
        Put32(fde[12..], (uint)textSize);

        Span<byte> h = image.AsSpan(header);
        h[0] = 1;
        h[1] = pcRelative4;
        h[2] = udata4;
        h[3] = dataRelative4;
        Put32(h[4..], (uint)(frame - (header + 4)));
        Put32(h[8..], 1);
        Put32(h[12..], (uint)(text - header));
        Put32(h[16..], (uint)(frame + 24 - header));
    }

    private static uint SysvHash(string name)
    {
        uint hash = 0;
        foreach (char letter in name)
        {
            hash = (hash << 4) + letter;
            uint high = hash & 0xf000_0000;
            hash ^= high >> 24;
            hash &= ~high;
        }
        return hash;
    }

    private static uint GnuHash(string name)
    {
        uint hash = 5381;
        foreach (char letter in name)
            hash = hash * 33 + letter;
        return hash;
    }

    private static void Put16(Span<byte> at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(at, (ushort)value);

    private static void Put32(Span<byte> at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(at, value);

    private static void Put64(Span<byte> at, long value) => BinaryPrimitives.WriteInt64LittleEndian(at, value);
}
