// For the simulation and the fuzzer in `conformance/`, exports internals that no room's index.ts exports. They are not
// part of the package's public exports.
export { readKept, writeKept } from './safekeeping/kept-delivery.ts'
export type { ByteSink, ByteStream } from './session/dial.ts'
export type { AckOrderKind } from './session/ack-order.ts'
export type { BrokerLimits } from './session/broker-limits.ts'
export { Connection } from './session/connection.ts'
export { FrameReader, type Frame } from './session/frame-reader.ts'
export { Outbox } from './session/outbox.ts'
export { PacketWriter } from './session/packet-writer.ts'
export { decodePublish } from './session/publish-decoder.ts'
export { encodePublish, publishPacketBytes } from './session/publish-encoder.ts'
