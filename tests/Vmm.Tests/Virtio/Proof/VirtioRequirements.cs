namespace Sandbox.Vmm.Tests.Virtio.Proof;

/// <summary>
/// All that virtio 1.2 says a device must or must not do, as far as it concerns this transport and these devices.
/// Sections that are only for what a driver does, for old drivers and for other transports are not here.
/// </summary>
static class VirtioRequirements
{
    private const string Packed = "VIRTIO_F_RING_PACKED is not offered";
    private const string RingReset = "VIRTIO_F_RING_RESET is not offered";
    private const string NotOffered = "the feature is not offered";

    public static IReadOnlyList<TableRow> All { get; } =
    [
        new("2.1.2a", "Before DRIVER_OK no buffer is taken, and nothing is said of used ones."),
        new("2.1.2b", "When a running device asks for a reset, a notification of changed configuration goes with it."),
        new("2.2.2a", "What needs another feature is offered together with that."),
        new("2.2.2b", "FEATURES_OK does not stay when the driver chose what does not work."),
        new("2.2.2c", "Nothing is offered that would not work if a driver took it."),
        new("2.4.1a", "A reset makes the status 0."),
        new("2.4.1b", "Once it is 0, the queues rest and nothing is notified until the driver begins anew."),
        new("2.5.2a", "Configuration of offered features can be read before FEATURES_OK."),
        None("2.6.1.1.1", "A queue that was reset rests, and is as it was at first.", RingReset),
        None("2.6.1.2.1", "A queue that is enabled again is as the driver says then.", RingReset),
        new("2.7.4.1a", "How a request is cut into descriptors means nothing."),
        new("2.7.5.1a", "What the device may only read is not written."),
        new("2.7.5.3.2a", "The write flag of a descriptor that leads to a table means nothing."),
        new("2.7.5.3.2b", "Any number of direct descriptors may come before one that leads to a table."),
        new("2.7.7.2a", "Without event indices, the driver's used_event means nothing."),
        new("2.7.7.2b", "Without event indices, flags of 0 mean a notification for what was used."),
        new("2.7.7.2c", "With event indices, the lowest bit of the driver's flags means nothing."),
        new("2.7.7.2d", "With event indices, a notification comes with the entry that used_event names."),
        new("2.7.8.2a", "An element's length is there before the index says so."),
        new(
            "2.7.8.2b",
            "As many bytes as the length says, or more, are written before that, from the first writable one on."),
        new("2.7.10.2a", "Without event indices, the device's flags are 0 or 1."),
        new("2.7.10.2b", "With event indices, the device's flags are 0."),
        new("2.7.10.2c", "A notification of nothing does no harm."),
        None("2.8", "Packed queues.", Packed),
        None(
            "2.10.2", "Memory that device and driver share lies apart and is as the device says.",
            "no device has any"),
        new("4.2.2.1a", "MagicValue is 0x74726976."),
        new("4.2.2.1b", "Version is 2."),
        new("4.2.2.1c", "An event's bit in InterruptStatus is set until it is acknowledged, and no other is."),
        new("4.2.2.1d", "A reset clears InterruptStatus, and QueueReady of every queue."),
        new("4.2.2.1e", "ConfigGeneration changes when a driver could have read half of a change."),
        new("4.2.2.1f", "A queue whose QueueReady is 0 is not touched."),
        None("4.2.2.1g", "QueueReset says how far the reset of a queue is.", RingReset),
        new("5.1.4.1a", "max_virtqueue_pairs is 1 to 0x8000."),
        new("5.1.4.1b", "mtu is 68 to 65535."),
        new("5.1.4.1c", "mtu stays what it is."),
        new(
            "5.1.4.1d",
            "With VIRTIO_NET_F_MTU, what is received and no segment is no longer than mtu and an Ethernet head."),
        new("5.1.4.1e", "Sent packets of up to mtu, with an Ethernet head, go out as they are."),
        None("5.1.4.1f", "Lengths of keys and tables, speed and duplex.", NotOffered),
        new("5.1.6.2.2a", "Flags of a sent packet that are not known mean nothing."),
        new("5.1.6.2.2b", "Where a checksum would begin means nothing unless one is asked for."),
        new("5.1.6.2.2c", "hdr_len may be wrong."),
        new("5.1.6.2.2d", "Unless a checksum is asked for, the one that is there may be wrong."),
        new("5.1.6.3.2a", "num_buffers is how many buffers hold the packet."),
        new("5.1.6.3.2b", "Without mergeable buffers a packet has one."),
        new("5.1.6.4.1a", "Without mergeable buffers num_buffers is 1."),
        new("5.1.6.4.1b", "With them it counts all that the packet is spread over, its header included."),
        new("5.1.6.4.1c", "All buffers of a packet but the last are full."),
        new("5.1.6.4.1d", "All buffers of a packet are used together."),
        new("5.1.6.4.1e", "Without VIRTIO_NET_F_GUEST_CSUM, flags are 0."),
        new("5.1.6.4.1f", "Segments have a type that was agreed on; where none was, gso_type is NONE."),
        new("5.1.6.4.1g", "A segment has VIRTIO_NET_HDR_F_NEEDS_CSUM and a gso_size."),
        None(
            "5.1.6.4.1h", "Checksums that are called valid or partial are.",
            "headers are the host kernel's, which checks packets and keeps to what TUNSETOFFLOAD says"),
        None("5.1.6.4.1i", "Coalesced segments and hashes of packets.", NotOffered),
        None("5.1.6.5.1", "Filters by kind of receiver.", NotOffered),
        None("5.1.6.5.2", "Filters by MAC address.", NotOffered),
        None("5.1.6.5.3", "Filters by VLAN.", NotOffered),
        None("5.1.6.5.4", "Announcements.", NotOffered),
        new("5.1.6.5.6a", "Before VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, packets are put into the first receive queue only."),
        new("5.1.6.5.6b", "Once that command was used, none is put into a queue behind those that it named."),
        None("5.1.6.5.7", "Receive-side scaling.", NotOffered),
        None("5.1.6.5.8", "Offloads that change while the device runs.", NotOffered),
        None("5.1.6.5.9", "Coalesced notifications.", NotOffered),
        None(
            "5.2.5.2a", "A cache mode that can be changed comes with flushes, and begins as written through.",
            NotOffered),
        new("5.2.5.2b", "Padding of the configuration is 0."),
        new("5.2.6.2a", "A write to a read-only disk is answered VIRTIO_BLK_S_IOERR, and writes nothing."),
        new("5.2.6.2b", "A discard or write-zeroes with an unknown flag is answered VIRTIO_BLK_S_UNSUPP."),
        new("5.2.6.2c", "So is a discard with the unmap flag."),
        new("5.2.6.2d", "What write-zeroes covered reads as zeroes, with the unmap flag and without."),
        new("5.2.6.2e", "Where flushes were offered and not taken, a write is on the host's disk when it is answered."),
        new("5.2.6.2f", "Writes that were answered before a flush are on the host's disk when the flush is answered."),
        None("5.2.6.2g", "How worn the storage is; secure erase.", NotOffered),
        None("5.3.5.1", "emerg_wr can be written at any time.", "VIRTIO_CONSOLE_F_EMERG_WRITE is not offered"),
        new("5.3.6.2.1a", "No port is added that is there already, or whose number is not below max_nr_ports."),
        None("5.3.6.2.1b", "No port is removed that was not added.", "the device removes none"),
        new("5.4.6.2a", "A request gets at least one random byte."),
        None("5.5.3.2", "A driver that will not tell before it takes pages may be refused.", NotOffered),
        new("5.5.6.3.2a", "Statistics with unknown tags mean nothing."),
        new("5.5.6.3.2b", "Statistics may come in any order."),
        None("5.5.6.5.2", "Hints of free pages.", NotOffered),
        None("5.5.6.7.2", "Pages that are reported free keep their poison.", NotOffered),
        new(
            "5.10.6.1.2a",
            "The guest's packets are taken when it takes none, as long as answers can be kept elsewhere."),
        new("5.10.6.3.2a", "Data is sent only where the other side has room for it."),
        new("5.10.6.3.2b", "All packets of a connection say how much room there is, and how much was taken."),
        new("5.10.6.4.2a", "guest_cid is none of the reserved ones."),
        new("5.10.6.4.2b", "A packet of an unknown type is answered with a reset."),
        new("6.2a", "VIRTIO_F_VERSION_1 is offered."),
        None("6.2b", "With VIRTIO_F_IN_ORDER, buffers are used in the order in which they came.", NotOffered),
        new("6.2c", "VIRTIO_F_SR_IOV is only for PCI."),
    ];

    private static TableRow None(string name, string text, string reason) => new(name, text, Without: reason);
}
