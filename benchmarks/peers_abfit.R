# ABfit-reg of the R package spant on one folder: Rscript peers_abfit.R FOLDER
#
# FOLDER holds data.raw and basis.basis (LCModel's formats); peer.csv (name, amplitude, crlb) and seconds.txt are
# written into it. The set gets the lipids and macromolecules of spant's own brain set; a set with a member MM only the
# lipids. Without an installed spant, SPANT_SOURCE names a folder with its R files (and their compiled code, *.so).

source_folder <- Sys.getenv("SPANT_SOURCE")
if (nzchar(source_folder)) {
  for (file in list.files(source_folder, "[.]R$", full.names = TRUE)) source(file)
  for (file in list.files(source_folder, "[.]so$", full.names = TRUE)) dyn.load(file)
} else {
  attach(as.list(asNamespace("spant")), name = "spant")
}

folder <- commandArgs(trailingOnly = TRUE)[1]
basis <- read_basis(file.path(folder, "basis.basis"))
scan <- read_lcm_raw(file.path(folder, "data.raw"), ft = basis$ft, fs = basis$fs, ref = def_ref(), extra = NULL)
basis <- resample_basis(basis, scan)

broad <- c("m_cr_ch2", "lip09", "lip13a", "lip13b", "lip20")
if (!("MM" %in% basis$names)) broad <- c(broad, "mm09", "mm12", "mm14", "mm17", "mm20")
own <- sim_basis(broad, pul_seq = seq_press_ideal, acq_paras = scan)
new <- !(own$names %in% basis$names)
own$data <- 2 * own$data[, new, drop = FALSE] # a proton is 0.5 at t = 0 in spant, 1 in the file
own$names <- own$names[new]
basis <- append_basis(basis, own)

taken <- system.time(
  fit <- abfit(as.vector(scan$data[1, 1, 1, 1, 1, 1, ]), get_acq_paras(scan), basis, abfit_reg_opts())
)[["user.self"]]
table <- data.frame(name = colnames(fit$amps), amplitude = as.numeric(fit$amps), crlb = as.numeric(fit$crlbs))
write.csv(table, file.path(folder, "peer.csv"), row.names = FALSE, quote = FALSE)
writeLines(format(taken), file.path(folder, "seconds.txt"))
