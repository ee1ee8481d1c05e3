// Cases with MLServer: V2 over HTTP.
import { bareTensor, binaryInput, floats, inputs, instances, tensor } from '../bodies.ts'
import { modelsOn, type ModelOptions, type ProtocolCase } from '../case.ts'

const on = modelsOn('mlserver')

const IRIS = inputs(tensor('predict', 'FP32', [5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3], [2, 4]))
const X = (value: number): string => inputs(tensor('x', 'FP32', [value]))
const wait = (delayMs: number): string => inputs(tensor('x', 'INT32', [delayMs]))
const undescribed: ModelOptions = { protocolVersion: 'v2' }
const VERSIONS = on('iris', undefined, { versions: ['v1', 'v9'] })
const NO_V1 = 'no V1 routes'
const NO_BINARY = 'no binary tensors over HTTP'
const FLOATS = floats(1.5, -2)

/** All cases with MLServer. */
export const MLSERVER_CASES: readonly ProtocolCase[] = [
  {
    model: VERSIONS,
    way: 'infer',
    situation: 'answered',
    what: 'an inference',
    body: IRIS,
    reply: {
      model_name: 'iris',
      model_version: 'v1',
      id: 'r1',
      outputs: [{ name: 'predict', shape: [2, 1], data: [0, 2] }],
    },
  },
  {
    model: VERSIONS,
    way: 'inferVersion',
    situation: 'answered',
    what: 'a version',
    version: 'v1',
    body: IRIS,
    reply: { model_version: 'v1' },
  },
  {
    model: VERSIONS,
    way: 'inferVersion',
    situation: 'notReady',
    what: 'an unknown version',
    version: 'v9',
    body: IRIS,
  },
  {
    model: on('echo'),
    way: 'infer',
    situation: 'answered',
    what: 'strings and integers above 2^53',
    body: inputs(tensor('s', 'BYTES', ['ä', '']), tensor('i', 'INT64', ['BIG'])).replace(
      '"BIG"',
      '9007199254740993',
    ),
    reply: /"data":\["ä",""\].*"data":\[9007199254740993\]/s,
  },
  {
    model: VERSIONS,
    way: 'metadata',
    situation: 'answered',
    what: 'a loaded model',
    reply: { name: 'iris', inputs: [{ name: 'predict', datatype: 'FP64', shape: [-1, 4] }] },
  },
  { model: on('echo'), way: 'ready', situation: 'answered', what: 'a loaded model', reply: '' },
  {
    model: on('echo'),
    way: 'predict',
    situation: 'noOperation',
    what: 'a V1 request',
    body: instances(1),
    absence: NO_V1,
  },
  {
    model: on('echo', 'bytes', { contentTypes: ['image/jpeg'] }),
    way: 'predictBytes',
    situation: 'noOperation',
    what: 'a V1 request',
    body: Buffer.from('ffd8ffe0', 'hex'),
    properties: { contentType: 'image/jpeg' },
    absence: NO_V1,
  },
  {
    model: on('echo'),
    way: 'explain',
    situation: 'noOperation',
    what: 'a V1 request',
    body: instances(1),
    absence: NO_V1,
  },
  {
    model: on('echo', 'v1', { protocolVersion: 'v1' }),
    way: 'metadataV1',
    situation: 'rejected',
    status: 404,
    what: 'a V1 request',
    absence: NO_V1,
  },
  {
    model: on('echo', 'v1', { protocolVersion: 'v1' }),
    way: 'readyV1',
    situation: 'notReady',
    what: 'a V1 request',
    absence: NO_V1,
  },
  {
    model: on('echo'),
    way: 'inferBinary',
    situation: 'rejected',
    status: 500,
    what: 'a binary tensor',
    ...binaryInput('x', [2], FLOATS),
    absence: NO_BINARY,
  },
  {
    model: on('echo'),
    way: 'inferBare',
    situation: 'rejected',
    status: 500,
    what: 'the bytes of a tensor',
    ...bareTensor(FLOATS),
    absence: NO_BINARY,
  },
  {
    model: on('nope', undefined, undescribed),
    way: 'infer',
    situation: 'notReady',
    what: 'an unknown model',
    body: X(1),
    reply: { error: 'Model nope not found' },
  },
  {
    model: on('nope', undefined, undescribed),
    way: 'metadata',
    situation: 'notReady',
    what: 'an unknown model',
  },
  {
    model: on('nope', undefined, undescribed),
    way: 'ready',
    situation: 'notReady',
    what: 'an unknown model',
  },
  {
    model: on('echo'),
    way: 'infer',
    situation: 'rejected',
    status: 422,
    what: 'a body that is not JSON',
    body: '{"inputs":[',
    reply: { detail: [{ type: 'json_invalid' }] },
  },
  {
    model: on('echo'),
    way: 'infer',
    situation: 'rejected',
    status: 422,
    what: 'a body without inputs',
    body: '{"id":"r1"}',
    reply: { detail: [{ type: 'missing' }] },
  },
  {
    model: on('echo'),
    way: 'infer',
    situation: 'rejected',
    status: 422,
    what: 'an unknown datatype',
    body: inputs(tensor('x', 'FP99', [1])),
  },
  {
    model: on('raises'),
    way: 'infer',
    situation: 'rejected',
    status: 500,
    what: 'an exception in the model',
    body: X(0),
    reply: 'Internal Server Error',
  },
  {
    model: on('raises'),
    way: 'infer',
    situation: 'rejected',
    status: 400,
    what: 'an error that the model returns',
    body: X(1),
    reply: '{"error":"x must be 0"}',
  },
  {
    model: VERSIONS,
    way: 'infer',
    situation: 'rejected',
    status: 500,
    what: 'data that do not match the shape',
    body: inputs(tensor('predict', 'FP32', [1, 2, 3], [2, 4])),
  },
  {
    model: on('slow', 'hasty', { timeoutMs: 300 }),
    way: 'infer',
    situation: 'late',
    what: 'a slow model',
    body: wait(5_000),
  },
  {
    model: on('slow'),
    way: 'infer',
    situation: 'cancelled',
    what: 'a call that the client cancels',
    body: wait(5_000),
    cancelAfter: 0,
  },
  {
    model: on('echo', 'small', { limits: { responseBytesMax: 10_000 } }),
    way: 'infer',
    situation: 'tooLarge',
    what: 'an answer of 20 kB with a limit of 10 kB',
    body: inputs(tensor('s', 'BYTES', ['x'.repeat(20_000)])),
  },
]
