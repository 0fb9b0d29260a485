using System.Runtime.InteropServices;

namespace Sandbox.Host;

/// <summary>ELF file header: linux/elf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct Elf64_Ehdr
{
    public fixed byte e_ident[16];
    public ushort e_type;
    public ushort e_machine;
    public uint e_version;
    public ulong e_entry;
    public ulong e_phoff;
    public ulong e_shoff;
    public uint e_flags;
    public ushort e_ehsize;
    public ushort e_phentsize;
    public ushort e_phnum;
    public ushort e_shentsize;
    public ushort e_shnum;
    public ushort e_shstrndx;
}

/// <summary>ELF program header: linux/elf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64_Phdr
{
    public uint p_type;
    public uint p_flags;
    public ulong p_offset;
    public ulong p_vaddr;
    public ulong p_paddr;
    public ulong p_filesz;
    public ulong p_memsz;
    public ulong p_align;
}

/// <summary>ELF section header: linux/elf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64_Shdr
{
    public uint sh_name;
    public uint sh_type;
    public ulong sh_flags;
    public ulong sh_addr;
    public ulong sh_offset;
    public ulong sh_size;
    public uint sh_link;
    public uint sh_info;
    public ulong sh_addralign;
    public ulong sh_entsize;
}

/// <summary>ELF dynamic entry: linux/elf.h; d_un holds d_val or d_ptr.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64_Dyn
{
    public long d_tag;
    public ulong d_un;
}

/// <summary>ELF symbol: linux/elf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64_Sym
{
    public uint st_name;
    public byte st_info;
    public byte st_other;
    public ushort st_shndx;
    public ulong st_value;
    public ulong st_size;
}

/// <summary>ELF relocation with addend: linux/elf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64_Rela
{
    public ulong r_offset;
    public ulong r_info;
    public long r_addend;
}

/// <summary>Head of an ELF note; name and descriptor follow, each padded to 4 bytes: linux/elf.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64_Nhdr
{
    public uint n_namesz;
    public uint n_descsz;
    public uint n_type;
}
