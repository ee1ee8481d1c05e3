// The service of the Open Inference Protocol over gRPC. protobufjs generates its encoders at run time.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import protobuf from 'protobufjs'

const PROTO = createRequire(import.meta.url).resolve('@inferwire/protocol/inference.proto')

/** Reads the service, with an encoder and a decoder for each message. */
export function readService(): ServiceDefinition {
  const { root } = protobuf.parse(readFileSync(PROTO, 'utf8'), new protobuf.Root(), { keepCase: true })
  // Without this call, protobufjs 7.6 does not apply proto3's default, and encodes repeated numbers unpacked.
  root.resolveAll()
  const service = root.lookupService('inference.GRPCInferenceService')
  const methods = service.methodsArray.map((method): [string, MethodDefinition<object, object>] => {
    const request = root.lookupType(`inference.${method.requestType}`)
    const response = root.lookupType(`inference.${method.responseType}`)
    return [
      method.name,
      {
        path: `/inference.GRPCInferenceService/${method.name}`,
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
        requestSerialize: (message) => Buffer.from(request.encode(message).finish()),
        requestDeserialize: (bytes) => request.decode(bytes),
        responseSerialize: (message) => Buffer.from(response.encode(message).finish()),
        responseDeserialize: (bytes) => response.decode(bytes),
      },
    ]
  })
  return Object.fromEntries(methods)
}
