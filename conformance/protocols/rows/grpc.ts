// Cases with the real servers over gRPC: the same V2 bodies as over HTTP.
import { bareTensor, binaryInput, floats, inputs, tensor } from '../bodies.ts'
import { modelsOn, type ProtocolCase } from '../case.ts'

const kserve = modelsOn('kserve', 'grpc')
const triton = modelsOn('triton', 'grpc')
const mlserver = modelsOn('mlserver', 'grpc')

const ROWS = [5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3]
const X = (...values: number[]): string => inputs(tensor('x', 'FP32', values))
const FLOATS = floats(1.5, Number.NaN, -2)
const ZERO = Array.from({ length: 64 }, () => 0)
// The bytes of the tensor follow the JSON part.
const NAN_ANSWER = new RegExp(`^\\{.*"binary_data_size":12.*\\}${FLOATS.toString('latin1').slice(0, 4)}`, 's')
const BIG = inputs(tensor('x', 'FP32', [1]), tensor('int64', 'INT64', ['BIG'])).replace(
  '"BIG"',
  '9007199254740993',
)

const KSERVE: readonly ProtocolCase[] = [
  {
    model: kserve('iris'),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'an inference',
    body: inputs(tensor('input-0', 'FP32', ROWS, [2, 4])),
    reply: { model_name: 'iris', id: 'r1', outputs: [{ shape: [2], datatype: 'INT64', data: [0, 2] }] },
  },
  {
    model: kserve('echo'),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'integers above 2^53',
    body: BIG,
    reply: /"data":\[9007199254740993\]/,
  },
  {
    model: kserve('echo'),
    way: 'inferBinaryGrpc',
    situation: 'answered',
    what: 'floating-point numbers with NaN',
    ...binaryInput('x', [3], FLOATS),
    reply: NAN_ANSWER,
  },
  {
    model: kserve('iris'),
    way: 'inferBareGrpc',
    situation: 'answered',
    what: 'the bytes of a tensor',
    ...bareTensor(floats(...ROWS.slice(0, 4))),
    reply: /"name":"output-0"/,
  },
  {
    model: kserve('iris', 'versions', { versions: ['1'] }),
    way: 'inferVersionGrpc',
    situation: 'answered',
    what: 'a version, which the server ignores',
    version: '1',
    body: inputs(tensor('input-0', 'FP32', ROWS, [2, 4])),
  },
  {
    model: kserve('iris'),
    way: 'metadataGrpc',
    situation: 'answered',
    what: 'a loaded model',
    reply: { name: 'iris', inputs: [{ name: 'input-0', shape: [-1, 4] }] },
  },
  { model: kserve('iris'), way: 'readyGrpc', situation: 'answered', what: 'a loaded model' },
  {
    model: kserve('nope'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 404,
    what: 'an unknown model',
    body: X(1),
  },
  { model: kserve('nope'), way: 'readyGrpc', situation: 'notReady', what: 'an unknown model' },
  {
    model: kserve('raises'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 500,
    what: 'an exception in the model',
    body: X(1),
  },
  {
    model: kserve('echo'),
    way: 'inferGrpc',
    situation: 'badBody',
    what: 'data that do not match the shape',
    body: inputs(tensor('x', 'FP32', [1, 2, 3], [2, 4])),
  },
  {
    model: kserve('echo'),
    way: 'inferBinaryGrpc',
    situation: 'badBody',
    what: 'a tensor with too few bytes',
    ...binaryInput('x', [9], FLOATS),
  },
  {
    model: kserve('slow', 'hasty', { timeoutMs: 300 }),
    way: 'inferGrpc',
    situation: 'late',
    what: 'a slow model',
    body: inputs(tensor('x', 'INT32', [5_000])),
  },
  {
    model: kserve('slow'),
    way: 'inferGrpc',
    situation: 'cancelled',
    what: 'a call that the client cancels',
    body: inputs(tensor('x', 'INT32', [5_000])),
    cancelAfter: 0,
  },
  {
    model: kserve('echo', 'small', { limits: { responseBytesMax: 10_000 } }),
    way: 'inferBinaryGrpc',
    situation: 'tooLarge',
    what: 'an answer of 20 kB with a limit of 10 kB',
    ...binaryInput('x', [5_000], floats(...Array.from({ length: 5_000 }, () => 1))),
  },
]

const TRITON: readonly ProtocolCase[] = [
  {
    model: triton('echo'),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'an inference',
    body: X(0.5),
    reply: {
      model_name: 'echo',
      model_version: '1',
      id: 'r1',
      outputs: [{ name: 'out-x', datatype: 'FP32', data: [0.5] }],
    },
  },
  {
    model: triton('echo'),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'integers above 2^53',
    body: BIG,
    reply: /"data":\[9007199254740993\]/,
  },
  {
    model: triton('echo'),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'booleans and strings',
    body: inputs(
      tensor('x', 'FP32', [1]),
      tensor('bool', 'BOOL', [true, false]),
      tensor('bytes', 'BYTES', ['ä', '']),
    ),
    reply: /"data":\["ä",""\]/,
  },
  {
    model: triton('echo'),
    way: 'inferBinaryGrpc',
    situation: 'answered',
    what: 'floating-point numbers with NaN',
    ...binaryInput('x', [3], FLOATS),
    reply: NAN_ANSWER,
  },
  {
    model: triton('digits'),
    way: 'inferBareGrpc',
    situation: 'answered',
    what: 'the bytes of a tensor',
    ...bareTensor(floats(...ZERO)),
    reply: /"name":"label"/,
  },
  {
    model: triton('echo', 'versions', { versions: ['1', '9'] }),
    way: 'inferVersionGrpc',
    situation: 'answered',
    what: 'a version',
    version: '1',
    body: X(1),
    reply: { model_version: '1' },
  },
  {
    model: triton('echo', 'versions', { versions: ['1', '9'] }),
    way: 'inferVersionGrpc',
    situation: 'notReady',
    what: 'an unknown version',
    version: '9',
    body: X(1),
  },
  {
    model: triton('echo'),
    way: 'metadataGrpc',
    situation: 'answered',
    what: 'a loaded model',
    reply: { name: 'echo', versions: ['1'], platform: 'python' },
  },
  { model: triton('echo'), way: 'readyGrpc', situation: 'answered', what: 'a loaded model' },
  { model: triton('nope'), way: 'inferGrpc', situation: 'notReady', what: 'an unknown model', body: X(1) },
  { model: triton('nope'), way: 'readyGrpc', situation: 'notReady', what: 'an unknown model' },
  {
    model: triton('raises'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 500,
    what: 'an exception in the model',
    body: X(0),
    reply:
      /^\{"error":"Failed to process the request\(s\) for model 'raises_0_0', message: RuntimeError: boom"\}\s*$/,
  },
  {
    model: triton('raises'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 400,
    what: 'an error that the model returns',
    body: X(1),
    reply: { error: 'x must be 0' },
  },
  {
    model: triton('echo'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 400,
    what: 'an unknown input',
    body: inputs(tensor('y', 'FP32', [1])),
  },
  {
    model: triton('echo'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 400,
    what: 'a wrong datatype',
    body: inputs(tensor('x', 'INT32', [1])),
  },
  {
    model: triton('slow', 'hasty', { timeoutMs: 100 }),
    way: 'inferGrpc',
    situation: 'late',
    what: 'a slow model',
    body: inputs(tensor('x', 'INT32', [400], [1, 1])),
  },
  {
    model: triton('slow'),
    way: 'inferGrpc',
    situation: 'cancelled',
    what: 'a call that the client cancels',
    body: inputs(tensor('x', 'INT32', [400], [1, 1])),
    cancelAfter: 0,
  },
  {
    model: triton('slow', 'queue'),
    way: 'inferGrpc',
    situation: 'full',
    what: 'more requests than the queue holds',
    body: inputs(tensor('x', 'INT32', [200], [1, 1])),
    simultaneous: 6,
  },
]

const MLSERVER: readonly ProtocolCase[] = [
  {
    model: mlserver('iris', undefined, { versions: ['v1', 'v9'] }),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'an inference',
    body: inputs(tensor('predict', 'FP32', ROWS, [2, 4])),
    reply: {
      model_name: 'iris',
      model_version: 'v1',
      id: 'r1',
      outputs: [{ name: 'predict', data: [0, 2] }],
    },
  },
  {
    model: mlserver('iris', undefined, { versions: ['v1', 'v9'] }),
    way: 'inferVersionGrpc',
    situation: 'answered',
    what: 'a version',
    version: 'v1',
    body: inputs(tensor('predict', 'FP32', ROWS, [2, 4])),
    reply: { model_version: 'v1' },
  },
  {
    model: mlserver('iris', undefined, { versions: ['v1', 'v9'] }),
    way: 'inferVersionGrpc',
    situation: 'notReady',
    what: 'an unknown version',
    version: 'v9',
    body: inputs(tensor('predict', 'FP32', ROWS, [2, 4])),
  },
  {
    model: mlserver('echo'),
    way: 'inferGrpc',
    situation: 'answered',
    what: 'integers above 2^53',
    body: BIG,
    reply: /"data":\[9007199254740993\]/,
  },
  {
    model: mlserver('echo'),
    way: 'inferBinaryGrpc',
    situation: 'answered',
    what: 'floating-point numbers with NaN',
    ...binaryInput('x', [3], FLOATS),
    reply: NAN_ANSWER,
  },
  {
    model: mlserver('iris', undefined, { versions: ['v1', 'v9'] }),
    way: 'inferBareGrpc',
    situation: 'answered',
    what: 'the bytes of a tensor',
    ...bareTensor(Buffer.from(Float64Array.from(ROWS.slice(0, 4)).buffer)),
  },
  {
    model: mlserver('iris', undefined, { versions: ['v1', 'v9'] }),
    way: 'metadataGrpc',
    situation: 'answered',
    what: 'a loaded model',
    reply: { name: 'iris', inputs: [{ name: 'predict', datatype: 'FP64', shape: [-1, 4] }] },
  },
  { model: mlserver('echo'), way: 'readyGrpc', situation: 'answered', what: 'a loaded model' },
  { model: mlserver('nope'), way: 'inferGrpc', situation: 'notReady', what: 'an unknown model', body: X(1) },
  { model: mlserver('nope'), way: 'readyGrpc', situation: 'notReady', what: 'an unknown model' },
  {
    model: mlserver('raises'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 500,
    what: 'an exception in the model',
    body: X(0),
  },
  {
    model: mlserver('raises'),
    way: 'inferGrpc',
    situation: 'rejected',
    status: 400,
    what: 'an error that the model returns',
    body: X(1),
  },
  {
    model: mlserver('slow', 'hasty', { timeoutMs: 300 }),
    way: 'inferGrpc',
    situation: 'late',
    what: 'a slow model',
    body: inputs(tensor('x', 'INT32', [5_000])),
  },
  {
    model: mlserver('slow'),
    way: 'inferGrpc',
    situation: 'cancelled',
    what: 'a call that the client cancels',
    body: inputs(tensor('x', 'INT32', [5_000])),
    cancelAfter: 0,
  },
]

/** All cases over gRPC with real servers. */
export const GRPC_CASES: readonly ProtocolCase[] = [...KSERVE, ...TRITON, ...MLSERVER]
