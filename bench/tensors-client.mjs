// The client of `npm run bench:tensors`: sends one tensor repeatedly, with a fixed number of requests in flight.
import { connect } from '@inferwire/client'
import { writeBinaryCall, writeJsonCall } from '@inferwire/protocol'
import { latencyFigures } from './statistics.mjs'
import { answerCalls } from './worker.mjs'

// Delay after an error, so that a connector that refuses all requests is not flooded.
const RETRY_MS = 100

let client
let loops = []
let isStopping = false
let isMeasuring = false
let latencies = []
let wrongAnswers = 0
let errors = 0
let firstError

/**
 * Returns an image as a tensor: pixel values, normalized as for an ImageNet model. The values of a small tensor are
 * short in JSON, as those of a sensor.
 */
function tensorOf(shape) {
  const length = shape.reduce((product, size) => product * size, 1)
  const isImage = shape.length === 4
  const values = Float32Array.from({ length }, (_, index) => {
    const pixel = (index * 7919) % 256
    return isImage ? (pixel / 255 - 0.485) / 0.229 : pixel / 8
  })
  return { name: 'x', shape, data: values }
}

async function loop(model, tensor, encoding) {
  const { data } = tensor
  const expected = Float32Array.of(data.length, data[0], data[data.length >> 1], data.at(-1))
  while (!isStopping) {
    const sentAt = performance.now()
    try {
      // Timed repeats would count an answer of a slow machine twice.
      const reply = await client.infer(model, [tensor], { encoding, repeatAfterMs: Infinity })
      if (isMeasuring) latencies.push(performance.now() - sentAt)
      const { data: answer } = reply.output('y')
      if (!expected.every((value, index) => answer[index] === value)) wrongAnswers += 1
    } catch (error) {
      errors += 1
      firstError ??= error.message
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

answerCalls({
  /**
   * Starts to send requests.
   * @param {{ port: number, model: string, shape: number[], encoding: 'json' | 'binary', inflight: number }} options
   * @returns the size of a request's body in bytes
   */
  async start({ port, model, shape, encoding, inflight }) {
    client = await connect(`mqtt://127.0.0.1:${port}`)
    const tensor = tensorOf(shape)
    loops = Array.from({ length: inflight }, () => loop(model, tensor, encoding))
    const write = encoding === 'json' ? writeJsonCall : writeBinaryCall
    return write({ inputs: [tensor] }).body.length
  },
  begin() {
    isMeasuring = true
  },
  end() {
    isMeasuring = false
  },
  /** Waits for the last answers. @returns the figures of the measured time, and the counts of the whole run */
  async finish() {
    isStopping = true
    await Promise.all(loops)
    await client.close()
    return { answers: latencies.length, ...latencyFigures(latencies), wrongAnswers, errors, firstError }
  },
})
