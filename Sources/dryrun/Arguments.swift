public import ArgumentParser
public import Kernels
public import Layout
public import RunForecast

extension Fidelity: ExpressibleByArgument {}
extension NumberFormat: ExpressibleByArgument {}
extension Optimizer: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
