// Limits the runs of each property test to the environment variable PROPERTY_RUNS_MAX. Without the variable, a test
// has as many runs as it declares.
const runsMax = Number(process.env['PROPERTY_RUNS_MAX'] ?? 'Infinity')

if (runsMax !== Infinity) {
  const { configureGlobal, PreconditionFailure } = await import('fast-check')
  configureGlobal({ plugins: [() => ({ decorateRun: limited })] })

  function limited(run) {
    let runs = 0
    const judged = (result) => {
      // After a failure, fast-check repeats the property to find a smaller input. These runs are not limited.
      if (result !== null && !PreconditionFailure.isFailure(result)) runs = -Infinity
      return result
    }
    return (value) => {
      if (runs >= runsMax) return new PreconditionFailure(true)
      runs += 1
      const result = run(value)
      return result instanceof Promise ? result.then(judged) : judged(result)
    }
  }
}
